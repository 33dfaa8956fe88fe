#include "distributed/mpi_communicator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "distributed/mpi_reduction.h"
#include "distributed/mpi_runtime.h"
#include "distributed/world.h"
#include "kernels/optim/lists.h"

namespace heed {
namespace {

/// Tags: 0 ... kMostTag are those of messages; reductions have two each behind them.
constexpr int kMostTag = 1023, kFirstReductionTag = kMostTag + 1, kReductionTags = 8192;
static_assert(kFirstReductionTag + 2 * kReductionTags - 1 <= 32767,
              "MPI_TAG_UB may be as low as 32767 (MPI 4.1, 9.1.2)");
/// Elements of one MPI call: its counts are ints.
constexpr int64_t kPiece = int64_t{1} << 28;

MPI_Datatype type_of(const Tensor& tensor, const MpiRuntime& runtime) {
  switch (tensor.dtype()) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    case DType::i64:
      return MPI_INT64_T;
    case DType::u8:
    case DType::boolean:
      return MPI_UINT8_T;
    case DType::bf16:
      return runtime.halves().bf16;
    case DType::f16:
      return runtime.halves().f16;
  }
  fail("a tensor of {} cannot be sent", name_of(tensor.dtype()));
}

MPI_Op op_of(ReduceOp op, DType dtype, const MpiRuntime& runtime) {
  const auto pick = [op](MPI_Op sum, MPI_Op max, MPI_Op min) {
    return op == ReduceOp::max ? max : op == ReduceOp::min ? min : sum;
  };
  const MpiRuntime::Halves& halves = runtime.halves();
  if (dtype == DType::bf16) return pick(halves.sum_bf16, halves.max_bf16, halves.min_bf16);
  if (dtype == DType::f16) return pick(halves.sum_f16, halves.max_f16, halves.min_f16);
  return pick(MPI_SUM, MPI_MAX, MPI_MIN);
}

void check_contiguous(const Tensor& tensor, const char* operation) {
  HEED_CHECK(tensor.is_contiguous(), "{}: {} is not contiguous", operation, tensor);
}

/// What a waiting rank moves alone, without waking the thread. With more the thread is of use even
/// then: a rank that waits long sleeps between its looks. Where that begins is a choice.
constexpr int64_t kSmall = int64_t{64} << 10;

// Requests of MPI with the tensors that they read and write.
class MpiWork final : public Work::State {
 public:
  MpiWork(const char* operation, std::vector<Tensor> tensors, std::function<void()> finish)
      : operation_(operation), tensors_(std::move(tensors)), finish_(std::move(finish)) {}
  ~MpiWork() override {
    if (beside_) runtime_->end_beside();
  }

  /// The runtime's thread moves it.
  void go_on_beside() override {
    if (!std::exchange(beside_, true)) runtime_->begin_beside();
  }

  /// Where the next MPI call puts its request.
  MPI_Request* request() {
    requests_.push_back(MPI_REQUEST_NULL);
    return &requests_.back();
  }

  bool test() override {
    int done = 0;
    check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                          MPI_STATUSES_IGNORE),
              operation_);
    if (done && finish_) std::exchange(finish_, nullptr)();
    return done != 0;
  }

  void wait() override {
    if (test()) return;
    if (bytes() > kSmall) go_on_beside();
    Waiting(runtime_.get(), operation_).until([this] { return test(); });
  }

 private:
  int64_t bytes() const {
    int64_t sum = 0;
    for (const Tensor& tensor : tensors_) sum += tensor.bytes();
    return sum;
  }

  std::shared_ptr<MpiRuntime> runtime_ = MpiRuntime::get();
  const char* operation_;
  std::vector<Tensor> tensors_;
  std::function<void()> finish_;
  std::vector<MPI_Request> requests_;
  bool beside_ = false;
};

/// A reduction by messages.
class ReductionWork final : public Work::State {
 public:
  ReductionWork(const char* operation, std::shared_ptr<MpiReduction> reduction,
                std::function<void()> finish)
      : operation_(operation), reduction_(std::move(reduction)), finish_(std::move(finish)) {}
  ~ReductionWork() override {
    if (beside_) runtime_->end_beside();
  }

  void go_on_beside() override {
    if (!std::exchange(beside_, true)) runtime_->begin_beside(reduction_);
  }
  bool test() override {
    if (finish_ != nullptr && reduction_->advance()) std::exchange(finish_, nullptr)();
    return finish_ == nullptr;
  }
  void wait() override {
    if (test()) return;
    Waiting(runtime_.get(), operation_).until([this] { return test(); });
  }

 private:
  std::shared_ptr<MpiRuntime> runtime_ = MpiRuntime::get();
  const char* operation_;
  std::shared_ptr<MpiReduction> reduction_;
  std::function<void()> finish_;
  bool beside_ = false;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MPI_Comm comm, bool owned) : comm_(comm), owned_(owned) {
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }
  ~MpiCommunicator() override {
    if (owned_) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return "mpi"; }

  void barrier() override;
  std::unique_ptr<Communicator> split(int color, int key) override;

 private:
  Work begin_all_reduce(const Tensor& tensor, ReduceOp op) override;
  Work begin_all_gather(const Tensor& tensor, const Tensor& out) override;
  Work begin_reduce_scatter(const Tensor& tensor, const Tensor& out) override;
  Work begin_broadcast(const Tensor& tensor, int root) override;
  Work begin_all_to_all(const Tensor& tensor, const Tensor& out) override;
  Work begin_send(const Tensor& tensor, int to, int tag) override;
  Work begin_receive(const Tensor& tensor, int from, int tag) override;

  MPI_Datatype type(const Tensor& tensor) const { return type_of(tensor, *runtime_); }
  void check_rank(int rank, const char* operation) const {
    HEED_CHECK(rank >= 0 && rank < size_, "{}: there is no rank {} among {}", operation, rank,
               size_);
  }
  /// Of the parts that ranks exchange; checks that `whole` is `size()` times `part`.
  int part_count(const Tensor& part, const Tensor& whole, const char* operation) const;
  static void check_tag(int tag, const char* operation) {
    HEED_CHECK(tag >= 0 && tag <= kMostTag, "{}: tag {} is not in 0 ... {}", operation, tag,
               kMostTag);
  }
  /// A reduction by messages, where the tensor is large; else nothing.
  std::optional<Work> by_messages(const char* operation, const Tensor& tensor, const Tensor& out,
                                  ReduceOp op);
  /// Calls start(pointer, count, request) for pieces that an int can count.
  template <class Start>
  static void in_pieces(MpiWork& work, const Tensor& tensor, const char* operation, Start start);

  std::shared_ptr<MpiRuntime> runtime_ = MpiRuntime::get();
  MPI_Comm comm_;
  bool owned_;
  int rank_ = 0, size_ = 1;
  int next_reduction_ = 0;  ///< index of its tags; the same on all ranks
  std::vector<std::weak_ptr<MpiReduction>> reductions_;  ///< that have had the tags, by index
};

int MpiCommunicator::part_count(const Tensor& part, const Tensor& whole,
                                const char* operation) const {
  check_contiguous(part, operation);
  check_contiguous(whole, operation);
  HEED_CHECK(part.dtype() == whole.dtype() && part.numel() * size_ == whole.numel(),
             "{}: {} is not {} times {}, one for each rank", operation, whole, size_, part);
  HEED_CHECK(part.numel() <= std::numeric_limits<int>::max(),
             "{}: {} has more elements than MPI can count (2^31 - 1)", operation, part);
  return static_cast<int>(part.numel());
}

template <class Start>
void MpiCommunicator::in_pieces(MpiWork& work, const Tensor& tensor, const char* operation,
                                Start start) {
  const auto element = static_cast<int64_t>(size_of(tensor.dtype()));
  auto* data = static_cast<std::byte*>(tensor.raw());
  for (int64_t at = 0; at < tensor.numel(); at += kPiece) {
    const int64_t count = std::min(kPiece, tensor.numel() - at);
    check_mpi(start(data + at * element, static_cast<int>(count), work.request()), operation);
  }
}

std::optional<Work> MpiCommunicator::by_messages(const char* operation, const Tensor& tensor,
                                                 const Tensor& out, ReduceOp op) {
  if (!MpiReduction::suits(tensor, size_)) return std::nullopt;
  const int index = std::exchange(next_reduction_, (next_reduction_ + 1) % kReductionTags);
  reductions_.resize(std::max(reductions_.size(), static_cast<size_t>(index) + 1));
  std::weak_ptr<MpiReduction>& had = reductions_[static_cast<size_t>(index)];
  HEED_CHECK(had.expired(),
             "{}: {} reductions are under way at once; their messages would be mixed", operation,
             kReductionTags);
  const int tag = kFirstReductionTag + 2 * index;
  const Tensor changed = out.defined() ? out : tensor;
  auto reduction = std::make_shared<MpiReduction>(
      operation, MpiReduction::Channel{comm_, type(tensor), rank_, size_, tag}, tensor, out, op);
  had = reduction;
  return Work(
      std::make_unique<ReductionWork>(operation, std::move(reduction), [changed, op, n = size_] {
        if (op == ReduceOp::mean) kernels::scale_inplace(std::span(&changed, 1), 1.0 / n);
        changed.bump_version();
      }));
}

Work MpiCommunicator::begin_all_reduce(const Tensor& tensor, ReduceOp op) {
  constexpr const char* kName = "all_reduce";
  check_contiguous(tensor, kName);
  HEED_CHECK(op != ReduceOp::mean || is_floating(tensor.dtype()), "all_reduce: the mean of {}",
             tensor);
  count_sent(2 * tensor.bytes() * (size_ - 1) / size_);
  if (auto work = by_messages(kName, tensor, Tensor(), op)) return std::move(*work);
  auto work = std::make_unique<MpiWork>(kName, std::vector{tensor}, [tensor, op, n = size_] {
    if (op == ReduceOp::mean) kernels::scale_inplace(std::span(&tensor, 1), 1.0 / n);
    tensor.bump_version();
  });
  in_pieces(*work, tensor, kName, [&](void* data, int count, MPI_Request* request) {
    return MPI_Iallreduce(MPI_IN_PLACE, data, count, type(tensor),
                          op_of(op, tensor.dtype(), *runtime_), comm_, request);
  });
  return Work(std::move(work));
}

Work MpiCommunicator::begin_all_gather(const Tensor& tensor, const Tensor& out) {
  constexpr const char* kName = "all_gather";
  const int count = part_count(tensor, out, kName);
  auto work =
      std::make_unique<MpiWork>(kName, std::vector{tensor, out}, [out] { out.bump_version(); });
  check_mpi(MPI_Iallgather(tensor.raw(), count, type(tensor), out.raw(), count, type(out), comm_,
                           work->request()),
            kName);
  count_sent(out.bytes() * (size_ - 1) / size_);
  return Work(std::move(work));
}

Work MpiCommunicator::begin_reduce_scatter(const Tensor& tensor, const Tensor& out) {
  constexpr const char* kName = "reduce_scatter";
  const int count = part_count(out, tensor, kName);
  count_sent(tensor.bytes() * (size_ - 1) / size_);
  if (auto work = by_messages(kName, tensor, out, ReduceOp::sum)) return std::move(*work);
  auto work =
      std::make_unique<MpiWork>(kName, std::vector{tensor, out}, [out] { out.bump_version(); });
  check_mpi(MPI_Ireduce_scatter_block(tensor.raw(), out.raw(), count, type(out),
                                      op_of(ReduceOp::sum, out.dtype(), *runtime_), comm_,
                                      work->request()),
            kName);
  return Work(std::move(work));
}

Work MpiCommunicator::begin_broadcast(const Tensor& tensor, int root) {
  constexpr const char* kName = "broadcast";
  check_contiguous(tensor, kName);
  check_rank(root, kName);
  auto work =
      std::make_unique<MpiWork>(kName, std::vector{tensor}, [tensor] { tensor.bump_version(); });
  in_pieces(*work, tensor, kName, [&](void* data, int count, MPI_Request* request) {
    return MPI_Ibcast(data, count, type(tensor), root, comm_, request);
  });
  if (rank_ == root) count_sent(tensor.bytes());
  return Work(std::move(work));
}

Work MpiCommunicator::begin_all_to_all(const Tensor& tensor, const Tensor& out) {
  constexpr const char* kName = "all_to_all";
  check_contiguous(tensor, kName);
  check_contiguous(out, kName);
  HEED_CHECK(
      tensor.dtype() == out.dtype() && tensor.numel() == out.numel() && tensor.numel() % size_ == 0,
      "all_to_all: {} into {} among {} ranks", tensor, out, size_);
  const int64_t part = tensor.numel() / size_;
  HEED_CHECK(part <= std::numeric_limits<int>::max(),
             "all_to_all: parts of {} have more elements than MPI can count (2^31 - 1)", tensor);
  const int count = static_cast<int>(part);
  auto work =
      std::make_unique<MpiWork>(kName, std::vector{tensor, out}, [out] { out.bump_version(); });
  check_mpi(MPI_Ialltoall(tensor.raw(), count, type(tensor), out.raw(), count, type(out), comm_,
                          work->request()),
            kName);
  count_sent(tensor.bytes() * (size_ - 1) / size_);
  return Work(std::move(work));
}

Work MpiCommunicator::begin_send(const Tensor& tensor, int to, int tag) {
  constexpr const char* kName = "send";
  check_contiguous(tensor, kName);
  check_rank(to, kName);
  check_tag(tag, kName);
  auto work = std::make_unique<MpiWork>(kName, std::vector{tensor}, nullptr);
  in_pieces(*work, tensor, kName, [&](void* data, int count, MPI_Request* request) {
    return MPI_Isend(data, count, type(tensor), to, tag, comm_, request);
  });
  count_sent(tensor.bytes());
  return Work(std::move(work));
}

Work MpiCommunicator::begin_receive(const Tensor& tensor, int from, int tag) {
  constexpr const char* kName = "receive";
  check_contiguous(tensor, kName);
  check_rank(from, kName);
  check_tag(tag, kName);  // MPI has a wildcard among the negative ones
  auto work =
      std::make_unique<MpiWork>(kName, std::vector{tensor}, [tensor] { tensor.bump_version(); });
  in_pieces(*work, tensor, kName, [&](void* data, int count, MPI_Request* request) {
    return MPI_Irecv(data, count, type(tensor), from, tag, comm_, request);
  });
  return Work(std::move(work));
}

void MpiCommunicator::barrier() {
  MpiWork work("barrier", {}, nullptr);
  check_mpi(MPI_Ibarrier(comm_, work.request()), "barrier");
  work.wait();
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
  HEED_CHECK(color >= 0, "split: color {} is negative", color);
  barrier();  // the watchdog sees who is missing; MPI_Comm_split blocks unseen
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, color, key, &part), "split");
  return std::make_unique<MpiCommunicator>(part, /*owned=*/true);
}

}  // namespace

std::unique_ptr<Communicator> mpi_world() {
  MpiRuntime::get();
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(comm, /*owned=*/true);
}

double seconds_waited() { return launch().size > 1 ? MpiRuntime::get()->seconds_waited() : 0.0; }

void set_watchdog(double seconds) {
  if (launch().size > 1) MpiRuntime::get()->set_watchdog(seconds);
}

void abort_world(const std::string& message, int status) {
  if (MpiRuntime::started()) MpiRuntime::get()->abort(message, status);
  // Starting MPI would wait for the others; this way their launcher ends them.
  fmt::print(stderr, "error: rank {}: {}\n", launch().rank, message);
  std::_Exit(status);
}

}  // namespace heed
