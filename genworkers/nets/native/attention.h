// The paged cache of keys and values, and attention over it for one row and one group of heads.
//
// Keys lie with sixteen positions side by side, so that sixteen scores are computed at a time without folding any; values
// lie head by head. What a row sees is decided by its position alone, and so is the order of its sums.
#pragma once

#include "matrix.h"

constexpr int kChunk = 16;     // positions that lie together
constexpr int kFetched = 3;    // chunks that are fetched ahead of the one that is read
constexpr int kMostHeads = 4;  // query heads that share one reading of the keys

// Keys and values of all blocks of all layers. C is float or Bfloat.
template <class C>
class Cache {
  public:
    Cache(int layers, int blocks, int block_tokens, int heads, int head_width)
        : chunks_(static_cast<size_t>(blocks) * (block_tokens / kChunk)), block_chunks_(block_tokens / kChunk), heads_(heads),
          width_(rounded_up(head_width, kChunk)), head_width_(head_width),
          keys_(make_buffer<C>(layers * chunks_ * heads * width_ * kChunk)),
          values_(make_buffer<C>(layers * chunks_ * heads * width_ * kChunk)) {}

    int width() const { return width_; }
    size_t bytes(int layers) const { return 2 * layers * chunks_ * heads_ * width_ * kChunk * sizeof(C); }

    void write(int layer, const int32_t *blocks, int position, int head, const float *key, const float *value) {
        const size_t start = place(layer, blocks, position / kChunk, head);
        const int lane = position % kChunk;
        for (int d = 0; d < head_width_; d++) store(key[d], keys_.get() + start + d * kChunk + lane);
        for (int d = 0; d < head_width_; d++) store(value[d], values_.get() + start + lane * width_ + d);
    }

    // Mixes the values of positions 0..last for `heads` query heads (at most kMostHeads) that share one key head.
    // queries and mixed: (heads, head_width); scores: (heads, room for last + 1, in whole chunks).
    void attend(int layer, const int32_t *blocks, int last, int head, int heads, const float *queries, float *scores,
                float *mixed) const {
        if (heads == 1) attend_together<1>(layer, blocks, last, head, queries, scores, mixed);
        if (heads == 2) attend_together<2>(layer, blocks, last, head, queries, scores, mixed);
        if (heads == 3) attend_together<3>(layer, blocks, last, head, queries, scores, mixed);
        if (heads == 4) attend_together<4>(layer, blocks, last, head, queries, scores, mixed);
    }

  private:
    size_t place(int layer, const int32_t *blocks, int chunk, int head) const {
        const size_t at = static_cast<size_t>(blocks[chunk / block_chunks_]) * block_chunks_ + chunk % block_chunks_;
        return ((layer * chunks_ + at) * heads_ + head) * width_ * kChunk;
    }

    // One chunk of one head into the processor's cache.
    void fetch(const C *from) const {
        for (int at = 0; at < width_ * kChunk; at += 64 / sizeof(C)) __builtin_prefetch(from + at, 0, 3);
    }

    template <int H>
    void attend_together(int layer, const int32_t *blocks, int last, int head, const float *queries, float *scores,
                         float *mixed) const {
        const int chunks = last / kChunk + 1, room = chunks * kChunk;
        F16 peaks[H];
#pragma GCC unroll 8
        for (int h = 0; h < H; h++) peaks[h] = F16{} - INFINITY;
        for (int chunk = 0; chunk < chunks; chunk++) {
            const C *keys = keys_.get() + place(layer, blocks, chunk, head);
            if (chunk + kFetched < chunks) fetch(keys_.get() + place(layer, blocks, chunk + kFetched, head));
            F16 sums[H][4] = {};
            int d = 0;
            for (; d + 4 <= head_width_; d += 4)
#pragma GCC unroll 8
                for (int part = 0; part < 4; part++) {
                    const F16 key = load<F16>(keys + (d + part) * kChunk);
#pragma GCC unroll 8
                    for (int h = 0; h < H; h++) sums[h][part] += queries[h * head_width_ + d + part] * key;
                }
            for (; d < head_width_; d++)
#pragma GCC unroll 8
                for (int h = 0; h < H; h++) sums[h][0] += queries[h * head_width_ + d] * load<F16>(keys + d * kChunk);
            const int seen = last + 1 - chunk * kChunk;
#pragma GCC unroll 8
            for (int h = 0; h < H; h++) {
                F16 score = (sums[h][0] + sums[h][1]) + (sums[h][2] + sums[h][3]);
                if (seen < kChunk) score = only(score, seen, -INFINITY);
                peaks[h] = largest(score, peaks[h]);
                save(score, scores + h * room + chunk * kChunk);
            }
        }
        float shares[H];
#pragma GCC unroll 8
        for (int h = 0; h < H; h++) {
            const F16 peak = F16{} + largest_of(peaks[h]);
            F16 sum = {};
            for (int at = 0; at < room; at += kChunk) {
                F16 weight = exp(load<F16>(scores + h * room + at) - peak);
                if (at + kChunk > last + 1) weight = only(weight, last + 1 - at, 0.0f);
                sum += weight;
                save(weight, scores + h * room + at);
            }
            shares[h] = 1.0f / sum_of(sum);
        }
        int part = 0;
        for (; part + 64 <= width_; part += 64) mix<H, 4>(layer, blocks, last, head, part, scores, shares, mixed);
        for (; part < width_; part += 16) mix<H, 1>(layer, blocks, last, head, part, scores, shares, mixed);
    }

    // Columns part..part + 16 P of the mixed values.
    template <int H, int P>
    void mix(int layer, const int32_t *blocks, int last, int head, int part, const float *weights, const float *shares,
             float *mixed) const {
        const int chunks = last / kChunk + 1, room = chunks * kChunk;
        F16 sums[H][P] = {};
        for (int chunk = 0; chunk < chunks; chunk++) {
            const C *values = values_.get() + place(layer, blocks, chunk, head) + part;
            if (part == 0 && chunk + kFetched < chunks) fetch(values_.get() + place(layer, blocks, chunk + kFetched, head));
            const int seen = last + 1 - chunk * kChunk < kChunk ? last + 1 - chunk * kChunk : kChunk;
            for (int lane = 0; lane < seen; lane++)
#pragma GCC unroll 8
                for (int p = 0; p < P; p++) {
                    const F16 value = load<F16>(values + lane * width_ + p * 16);
#pragma GCC unroll 8
                    for (int h = 0; h < H; h++) sums[h][p] += weights[h * room + chunk * kChunk + lane] * value;
                }
        }
#pragma GCC unroll 8
        for (int h = 0; h < H; h++)
#pragma GCC unroll 8
            for (int p = 0; p < P; p++) {
                const int begin = part + p * 16, count = head_width_ - begin < 16 ? head_width_ - begin : 16;
                float lanes[16];
                save(sums[h][p] * shares[h], lanes);
                if (count > 0) std::memcpy(mixed + h * head_width_ + begin, lanes, count * 4);
            }
    }

    const size_t chunks_;
    const int block_chunks_, heads_, width_, head_width_;
    Buffer<C> keys_, values_;
};
