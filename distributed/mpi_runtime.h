// MPI in this process: started once, kept moving, watched.
//
// MPI moves data only inside its own calls, so a thread of ours looks in now and then while
// operations are under way; it also answers other ranks' questions about this one, so that a rank
// that has waited too long can say who is missing.
#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace heed {

class MpiRuntime {
 public:
  using Clock = std::chrono::steady_clock;

  /// The one of this process; starts MPI on the first call.
  static const std::shared_ptr<MpiRuntime>& get();
  static bool started();
  ~MpiRuntime();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// bf16 and f16 as MPI types, and their reductions.
  struct Halves {
    MPI_Datatype bf16, f16;
    MPI_Op sum_bf16, max_bf16, min_bf16, sum_f16, max_f16, min_f16;
  };
  const Halves& halves() const { return halves_; }

  /// An operation of several steps: what has come is worked on before the next messages go.
  struct Moving {
    virtual ~Moving() = default;
    /// Does what can be done at once; whether it is over. Any thread may call it.
    virtual bool advance() = 0;
  };

  /// Bracket an operation beside which the rank does something else: the thread moves its data, and
  /// takes the steps of one that has several.
  void begin_beside(std::shared_ptr<Moving> operation = nullptr);
  void end_beside() { --under_way_; }

  double seconds_waited() const { return seconds_waited_; }

  void set_watchdog(double seconds) { watchdog_ = seconds; }
  [[noreturn]] void abort(const std::string& message, int status);

 private:
  friend class Waiting;
  struct Status;

  void begin_wait(const char* operation);
  void end_wait();
  void idle(int round);

  MpiRuntime();
  void keep_moving();
  void advance_all();
  void answer_questions();
  Status status() const;
  std::string who_is_missing(bool& others_speak) const;
  [[noreturn]] void give_up();

  int rank_ = 0, size_ = 1;
  MPI_Comm control_ = MPI_COMM_NULL;
  Halves halves_{};
  double watchdog_ = 600.0;

  std::atomic<int> under_way_{0};
  std::atomic<bool> fresh_{false};  ///< an operation has begun since the thread last looked
  std::atomic<bool> slow_{false};   ///< the thread looks more seldom: what begins wakes it
  std::atomic<const char*> waiting_in_{nullptr};
  std::atomic<double> seconds_waited_{0.0};
  std::atomic<int64_t> since_{0};  ///< of the wait, or of the computation after it; nanoseconds

  std::mutex moving_mutex_;
  std::vector<std::shared_ptr<Moving>> moving_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

/// While a rank waits: it can be asked what for, and the watchdog ends what lasts too long.
class Waiting {
 public:
  /// `operation` is what this rank tells the others when they ask. Without a runtime (one rank has
  /// no MPI) it only gives the processor away.
  Waiting(MpiRuntime* runtime, const char* operation) : runtime_(runtime) {
    if (runtime_ != nullptr) runtime_->begin_wait(operation);
  }
  ~Waiting() {
    if (runtime_ != nullptr) runtime_->end_wait();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// Between two looks: gives the processor away, and ends the run once the watchdog's time is
  /// over.
  void idle() {
    if (runtime_ == nullptr) return std::this_thread::yield();
    runtime_->idle(round_++);
  }
  /// Until `done` says so.
  template <class Done>
  void until(const Done& done) {
    while (!done()) idle();
  }

 private:
  MpiRuntime* runtime_;
  int round_ = 0;
};

/// Throws Error with MPI's words when a call failed.
void check_mpi(int code, const char* operation);

}  // namespace heed
