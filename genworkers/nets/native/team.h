// A few threads that run one function together and wait for each other inside it.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
inline void pause_briefly() { _mm_pause(); }
#elif defined(__aarch64__)
inline void pause_briefly() { asm volatile("yield"); }
#else
inline void pause_briefly() {}
#endif

struct Range {
    int begin, end;
};

class Team {
  public:
    explicit Team(int size) : size_(size), present_(size) {
        for (int member = 1; member < size; member++) threads_.emplace_back([this, member] { serve(member); });
    }

    ~Team() {
        is_over_ = true;
        call(jobs_);
        for (std::thread &thread : threads_) thread.join();
    }

    Team(const Team &) = delete;
    Team &operator=(const Team &) = delete;

    // How many take part in the present job.
    int size() const { return present_; }

    // Runs job(member) for every member, or for the caller alone; the caller is member 0.
    void run(const std::function<void(int)> &job, bool is_alone = false) {
        present_ = is_alone ? 1 : size_;
        job_ = &job;
        if (present_ > 1) call(jobs_);
        job(0);
        meet();
    }

    // Inside a job: goes on when all members are here.
    void meet() {
        if (present_ == 1) return;
        const int meeting = meetings_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            arrived_.store(0, std::memory_order_relaxed);
            call(meetings_);
        } else {
            await(meetings_, meeting);
        }
    }

    // The member's share of `count` things that lie next to each other.
    Range share(int count, int member) const {
        return {static_cast<int>(static_cast<int64_t>(count) * member / present_),
                static_cast<int>(static_cast<int64_t>(count) * (member + 1) / present_)};
    }

  private:
    static constexpr int kSpins = 2000;  // about 50 us; whoever waits longer sleeps and leaves the core to others

    void call(std::atomic<int> &counter) {
        counter.fetch_add(1, std::memory_order_release);
        counter.notify_all();
    }

    void await(std::atomic<int> &counter, int old) {
        for (int spin = 0; spin < kSpins; spin++) {
            if (counter.load(std::memory_order_acquire) != old) return;
            pause_briefly();
        }
        counter.wait(old, std::memory_order_acquire);
    }

    void serve(int member) {
        for (int done = 0;; done++) {
            await(jobs_, done);
            if (is_over_) return;
            (*job_)(member);
            meet();
        }
    }

    const int size_;
    int present_;
    std::vector<std::thread> threads_;
    const std::function<void(int)> *job_ = nullptr;
    bool is_over_ = false;
    alignas(64) std::atomic<int> jobs_{0};
    alignas(64) std::atomic<int> meetings_{0};
    alignas(64) std::atomic<int> arrived_{0};
};
