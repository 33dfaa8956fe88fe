#include "distributed/staged_communicator.h"

#include <utility>

#include "core/device_runtime.h"

namespace heed {
namespace {

Tensor on_host(const Tensor& tensor) { return Tensor::empty(tensor.shape(), tensor.dtype()); }

void copy(const Tensor& from, const Tensor& to) {
  if (from.numel() == 0) return;
  copy_bytes(to.device(), to.raw(), from.device(), from.raw(), static_cast<size_t>(from.bytes()));
}

Tensor copied(const Tensor& tensor) {
  Tensor host = on_host(tensor);
  copy(tensor, host);
  return host;
}

/// An operation on the host whose result then goes back to the device.
class Staged final : public Work::State {
 public:
  /// `sent` lives as long; `came` is copied into `out` where that is defined.
  Staged(Work work, Tensor sent, Tensor came, Tensor out)
      : work_(std::move(work)),
        sent_(std::move(sent)),
        came_(std::move(came)),
        out_(std::move(out)) {}

  bool test() override {
    if (!work_.done()) return false;
    finish();
    return true;
  }
  void wait() override {
    work_.wait();
    finish();
  }
  void go_on_beside() override { work_.go_on_beside(); }

 private:
  void finish() {
    if (!out_.defined()) return;
    copy(came_, out_);
    out_.bump_version();
    out_ = Tensor();
  }

  Work work_;
  Tensor sent_, came_, out_;
};

}  // namespace

class StagedCommunicator final : public Communicator {
 public:
  explicit StagedCommunicator(std::unique_ptr<Communicator> host) : host_(std::move(host)) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  std::string name() const override { return host_->name(); }
  void barrier() override { host_->barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    std::unique_ptr<Communicator> part = host_->split(color, key);
    return part == nullptr ? nullptr : staged(std::move(part));
  }

 private:
  Work begin_all_reduce(const Tensor& tensor, ReduceOp op) override {
    return changed(tensor, [&](const Tensor& t) { return host_->begin_all_reduce(t, op); });
  }
  Work begin_all_gather(const Tensor& tensor, const Tensor& out) override {
    return made(tensor, out, [&](const Tensor& from, const Tensor& to) {
      return host_->begin_all_gather(from, to);
    });
  }
  Work begin_reduce_scatter(const Tensor& tensor, const Tensor& out) override {
    return made(tensor, out, [&](const Tensor& from, const Tensor& to) {
      return host_->begin_reduce_scatter(from, to);
    });
  }
  Work begin_broadcast(const Tensor& tensor, int root) override {
    return changed(tensor, [&](const Tensor& t) { return host_->begin_broadcast(t, root); });
  }
  Work begin_all_to_all(const Tensor& tensor, const Tensor& out) override {
    return made(tensor, out, [&](const Tensor& from, const Tensor& to) {
      return host_->begin_all_to_all(from, to);
    });
  }
  Work begin_send(const Tensor& tensor, int to, int tag) override {
    if (tensor.device().is_cpu())
      return counted([&] { return host_->begin_send(tensor, to, tag); });
    check(tensor, "send");
    const Tensor message = copied(tensor);
    Work work = counted([&] { return host_->begin_send(message, to, tag); });
    return Work(std::make_unique<Staged>(std::move(work), message, Tensor(), Tensor()));
  }
  Work begin_receive(const Tensor& tensor, int from, int tag) override {
    if (tensor.device().is_cpu()) {
      return counted([&] { return host_->begin_receive(tensor, from, tag); });
    }
    check(tensor, "receive");
    const Tensor message = on_host(tensor);
    Work work = counted([&] { return host_->begin_receive(message, from, tag); });
    return Work(std::make_unique<Staged>(std::move(work), Tensor(), message, tensor));
  }
  Work begin_ring_shift(const Tensor& tensor, const Tensor& out, int step, int tag) override {
    return made(tensor, out, [&](const Tensor& from, const Tensor& to) {
      return host_->begin_ring_shift(from, to, step, tag);
    });
  }

  static void check(const Tensor& tensor, const char* operation) {
    HEED_CHECK(tensor.is_contiguous(), "{}: {} is not contiguous", operation, tensor);
  }

  /// The bytes that the host's communicator counts are this one's.
  template <class Begin>
  Work counted(const Begin& begin) {
    const int64_t before = host_->bytes_sent();
    Work work = begin();
    count_sent(host_->bytes_sent() - before);
    return work;
  }

  /// An operation that changes its tensor.
  template <class Begin>
  Work changed(const Tensor& tensor, const Begin& begin) {
    if (tensor.device().is_cpu()) return counted([&] { return begin(tensor); });
    check(tensor, "a collective");
    const Tensor host = copied(tensor);
    Work work = counted([&] { return begin(host); });
    return Work(std::make_unique<Staged>(std::move(work), Tensor(), host, tensor));
  }

  /// One that makes `out` of its tensor.
  template <class Begin>
  Work made(const Tensor& tensor, const Tensor& out, const Begin& begin) {
    HEED_CHECK(tensor.device() == out.device(), "a collective of {} into {}: on two devices",
               tensor, out);
    if (tensor.device().is_cpu()) return counted([&] { return begin(tensor, out); });
    check(tensor, "a collective");
    check(out, "a collective");
    const Tensor from = copied(tensor), to = on_host(out);
    Work work = counted([&] { return begin(from, to); });
    return Work(std::make_unique<Staged>(std::move(work), from, to, out));
  }

  std::unique_ptr<Communicator> host_;
};

std::unique_ptr<Communicator> staged(std::unique_ptr<Communicator> host) {
  return std::make_unique<StagedCommunicator>(std::move(host));
}

}  // namespace heed
