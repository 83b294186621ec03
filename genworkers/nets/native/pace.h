// Whether several threads or one is faster just now: where other programs want the cores, threads that wait for each
// other at every stage are slower than one alone. The numbers are the same either way.
#pragma once

#include <algorithm>
#include <chrono>

class Pace {
  public:
    // Before a call of so many rows: whether it is to run on one thread.
    bool is_alone(int rows) {
        if (rows != rows_) {
            rows_ = rows;
            calls_ = std::min(calls_, kPause - kTrial);  // what was timed does not compare
        }
        return calls_ >= kPause ? !prefers_one_ : prefers_one_;
    }

    // After the call, with the time that it took. The last calls before a trial are compared with those of the trial.
    void note(double seconds) {
        const bool is_trial = calls_ >= kPause;
        if (calls_ == kPause - kTrial) usual_ = other_ = 0.0;
        if (calls_ >= kPause - kTrial) (is_trial ? other_ : usual_) += seconds;
        if (++calls_ < kPause + kTrial) return;
        if (other_ < 0.9 * usual_) prefers_one_ = !prefers_one_;
        calls_ = 0;
    }

  private:
    static constexpr int kTrial = 3;    // calls
    static constexpr int kPause = 240;  // calls from one trial to the next

    int rows_ = 0, calls_ = kPause - 2 * kTrial;
    bool prefers_one_ = false;
    double usual_ = 0.0, other_ = 0.0;
};
