// How fast this machine reads memory: the ceiling of decoding one sequence.
#pragma once

#include <chrono>

#include "matrix.h"

// The best of `rounds` readings of `bytes` bytes by all members of a team, in bytes a second.
inline double read_bandwidth(int threads, size_t bytes, int rounds) {
    const size_t count = bytes / sizeof(float) / (64 * threads) * (64 * threads);
    Buffer<float> memory = make_buffer<float>(count);
    std::memset(memory.get(), 1, count * sizeof(float));
    std::vector<float> sums(threads * 16);
    Team team(threads);
    double best = 0.0;
    for (int round = 0; round < rounds; round++) {
        const auto start = std::chrono::steady_clock::now();
        team.run([&](int member) {
            const float *from = memory.get() + count / threads * member, *end = from + count / threads;
            F16 sum[4] = {};
            for (; from < end; from += 64)
                for (int part = 0; part < 4; part++) {
                    __builtin_prefetch(from + kAhead / 4 + part * 16, 0, 3);
                    sum[part] += load<F16>(from + part * 16);
                }
            sums[member * 16] = sum_of((sum[0] + sum[1]) + (sum[2] + sum[3]));
        });
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        best = std::max(best, static_cast<double>(count) * sizeof(float) / took.count());
    }
    return sums[0] == 0.1f ? 0.0 : best;  // the sums are used, so that the reading is not left out
}
