#include "distributed/mpi_runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "distributed/combine.h"

namespace heed {
namespace {

using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;

enum Tag { kQuestion = 1, kAnswer = 2 };

// How often the thread looks is a choice.
constexpr auto kGlance = microseconds(50);   // between two looks while operations are under way
constexpr int kGlances = 16;                 // at that pace; then each pause is twice the last ...
constexpr auto kSeldom = milliseconds(2);    // ... up to this: the looks cost the computation time
constexpr auto kRest = milliseconds(100);    // and while none is
constexpr double kAnswerSeconds = 3.0;       // to answer a question
constexpr double kPrecedenceSeconds = 10.0;  // for a lower rank to end the run
constexpr int kSpins = 2000;                 // looks of a waiting rank before it sleeps

int64_t now() { return MpiRuntime::Clock::now().time_since_epoch().count(); }
double seconds_since(int64_t then) { return 1e-9 * static_cast<double>(now() - then); }

// A reduction of halves, which MPI does not know.
template <DType dtype, ReduceOp op>
MPI_Op make_op() {
  const auto reduce = [](void* in, void* into, int* count, MPI_Datatype*) {
    combine(op, dtype, in, into, *count);
  };
  MPI_Op made;
  check_mpi(MPI_Op_create(+reduce, /*commute=*/1, &made), "MPI_Op_create");
  return made;
}

MPI_Datatype make_half() {
  MPI_Datatype type;
  check_mpi(MPI_Type_contiguous(2, MPI_BYTE, &type), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&type), "MPI_Type_commit");
  return type;
}

}  // namespace

void check_mpi(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("{}: MPI reports: {}", operation, std::string(text, static_cast<size_t>(length)));
}

// What a rank says of itself.
struct MpiRuntime::Status {
  double seconds = 0.0;      // of waiting, or of computing
  char waiting_in[40] = "";  // "" while it computes
};

bool MpiRuntime::started() {
  int yes = 0;
  return MPI_Initialized(&yes) == MPI_SUCCESS && yes != 0;
}

const std::shared_ptr<MpiRuntime>& MpiRuntime::get() {
  static const std::shared_ptr<MpiRuntime> runtime(new MpiRuntime);
  return runtime;
}

MpiRuntime::MpiRuntime() {
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  HEED_CHECK(provided == MPI_THREAD_MULTIPLE,
             "this MPI library does not let several threads call it (MPI_THREAD_MULTIPLE), which "
             "moving data beside the computation needs");
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &control_), "MPI_Comm_dup");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(control_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(control_, &rank_);
  MPI_Comm_size(control_, &size_);
  halves_ = {make_half(),
             make_half(),
             make_op<DType::bf16, ReduceOp::sum>(),
             make_op<DType::bf16, ReduceOp::max>(),
             make_op<DType::bf16, ReduceOp::min>(),
             make_op<DType::f16, ReduceOp::sum>(),
             make_op<DType::f16, ReduceOp::max>(),
             make_op<DType::f16, ReduceOp::min>()};
  since_ = now();
  thread_ = std::thread([this] { keep_moving(); });
}

MpiRuntime::~MpiRuntime() {
  // Until all are here this rank's thread goes on answering.
  MPI_Request all = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(control_, &all) == MPI_SUCCESS) {
    Waiting waiting(this, "the end of the run");
    waiting.until([&] {
      int done = 0;
      return MPI_Test(&all, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
    });
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (MPI_Op* op : {&halves_.sum_bf16, &halves_.max_bf16, &halves_.min_bf16, &halves_.sum_f16,
                     &halves_.max_f16, &halves_.min_f16}) {
    MPI_Op_free(op);
  }
  MPI_Type_free(&halves_.bf16);
  MPI_Type_free(&halves_.f16);
  MPI_Comm_free(&control_);
  MPI_Finalize();
}

void MpiRuntime::begin_beside(std::shared_ptr<Moving> operation) {
  if (operation != nullptr) {
    const std::lock_guard lock(moving_mutex_);
    moving_.push_back(std::move(operation));
  }
  fresh_ = true;
  if (under_way_++ > 0 && !slow_) return;
  const std::lock_guard lock(mutex_);  // so that the thread is not just about to rest
  wake_.notify_one();
}

void MpiRuntime::begin_wait(const char* operation) {
  since_ = now();
  waiting_in_ = operation;
}

void MpiRuntime::end_wait() {
  seconds_waited_ = seconds_waited_ + seconds_since(since_);
  waiting_in_ = nullptr;
  since_ = now();
}

void MpiRuntime::idle(int round) {
  if (round < kSpins) {
    std::this_thread::yield();
    return;
  }
  std::this_thread::sleep_for(kGlance);
  if (watchdog_ > 0.0 && seconds_since(since_) > watchdog_) give_up();
}

void MpiRuntime::advance_all() {
  std::vector<std::shared_ptr<Moving>> some;
  {
    const std::lock_guard lock(moving_mutex_);  // not while they move: who adds one does not wait
    some.swap(moving_);
  }
  std::erase_if(some, [](const std::shared_ptr<Moving>& operation) {
    try {
      return operation->advance();
    } catch (const std::exception&) {
      return true;  // it tells whoever waits for it
    }
  });
  const std::lock_guard lock(moving_mutex_);
  moving_.insert(moving_.end(), some.begin(), some.end());
}

void MpiRuntime::keep_moving() {
  std::unique_lock lock(mutex_);
  std::chrono::nanoseconds pause = kGlance;
  int glances = 0;
  while (!stop_) {
    lock.unlock();
    answer_questions();  // MPI moves what is under way while it looks for them
    advance_all();
    lock.lock();
    if (fresh_.exchange(false)) {
      pause = kGlance;
      glances = 0;
      slow_ = false;
    } else if (++glances > kGlances) {
      pause = std::min<std::chrono::nanoseconds>(2 * pause, kSeldom);
      slow_ = true;
    }
    wake_.wait_for(lock, under_way_ > 0 ? pause : std::chrono::nanoseconds(kRest));
  }
}

void MpiRuntime::answer_questions() {
  int there = 0;
  MPI_Status from;
  while (MPI_Iprobe(MPI_ANY_SOURCE, kQuestion, control_, &there, &from) == MPI_SUCCESS && there) {
    char nothing = 0;
    MPI_Recv(&nothing, 1, MPI_BYTE, from.MPI_SOURCE, kQuestion, control_, MPI_STATUS_IGNORE);
    const Status own = status();
    MPI_Send(&own, sizeof own, MPI_BYTE, from.MPI_SOURCE, kAnswer, control_);
  }
}

MpiRuntime::Status MpiRuntime::status() const {
  Status own;
  own.seconds = seconds_since(since_);
  if (const char* operation = waiting_in_) {
    std::strncpy(own.waiting_in, operation, sizeof own.waiting_in - 1);
  }
  return own;
}

// Asks all others. `others_speak`: a lower rank waits as well, and will say the same.
std::string MpiRuntime::who_is_missing(bool& others_speak) const {
  const auto count = static_cast<size_t>(size_);
  std::vector<Status> answers(count);
  std::vector<MPI_Request> replies(count, MPI_REQUEST_NULL), questions(count, MPI_REQUEST_NULL);
  static char nothing = 0;  // outlives questions that nobody takes
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    const auto i = static_cast<size_t>(r);
    MPI_Irecv(&answers[i], sizeof(Status), MPI_BYTE, r, kAnswer, control_, &replies[i]);
    MPI_Isend(&nothing, 1, MPI_BYTE, r, kQuestion, control_, &questions[i]);
  }
  std::vector<int> answered(count, 0);
  answered[static_cast<size_t>(rank_)] = 1;
  for (const int64_t start = now(); seconds_since(start) < kAnswerSeconds;) {
    for (size_t i = 0; i < count; ++i) {
      if (answered[i] == 0) MPI_Test(&replies[i], &answered[i], MPI_STATUS_IGNORE);
    }
    if (std::all_of(answered.begin(), answered.end(), [](int a) { return a != 0; })) break;
    std::this_thread::sleep_for(milliseconds(1));
  }
  std::string missing;
  others_speak = false;
  for (int r = 0; r < size_; ++r) {
    const auto i = static_cast<size_t>(r);
    if (r == rank_) continue;
    if (answered[i] == 0) {
      missing +=
          fmt::format("; rank {} does not answer (killed, stopped, or its machine is lost)", r);
    } else if (answers[i].waiting_in[0] == '\0') {
      missing += fmt::format("; rank {} has not come to it: it computes since {:.0f} s", r,
                             answers[i].seconds);
    } else {
      others_speak |= r < rank_;
      if (std::strcmp(answers[i].waiting_in, waiting_in_) != 0) {
        missing += fmt::format("; rank {} waits in {} since {:.0f} s", r, answers[i].waiting_in,
                               answers[i].seconds);
      }
    }
  }
  return missing.empty() ? "; all ranks wait in it, for data that does not come" : missing;
}

void MpiRuntime::give_up() {
  const double waited = seconds_since(since_);
  bool others_speak = false;
  const std::string missing = who_is_missing(others_speak);
  if (others_speak) std::this_thread::sleep_for(duration<double>(kPrecedenceSeconds));
  abort(fmt::format("waited {:.0f} s in {}{}", waited, waiting_in_.load(), missing), 1);
}

void MpiRuntime::abort(const std::string& message, int status) {
  std::fflush(stdout);
  fmt::print(stderr, "error: rank {}: {}\n", rank_, message);
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

}  // namespace heed
