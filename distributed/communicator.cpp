#include "distributed/communicator.h"

#include <cstring>

namespace heed {

double Communicator::all_reduce_number(double value, ReduceOp op) {
  Tensor tensor = Tensor::scalar(value);
  all_reduce(tensor, op);
  return tensor.item();
}

namespace {

void check_root(int root, const char* op) {
  HEED_CHECK(root == 0, "{}: root {} of a communicator of one rank", op, root);
}

void copy(const Tensor& from, Tensor& to, const char* op) {
  HEED_CHECK(from.shape() == to.shape() && from.dtype() == to.dtype(),
             "{}: one rank copies {} into {}: they must be alike", op, from, to);
  HEED_CHECK(from.is_contiguous() && to.is_contiguous(), "{}: needs contiguous tensors", op);
  if (from.numel() == 0) return;
  std::memmove(to.raw(), from.raw(), static_cast<size_t>(from.bytes()));
  to.bump_version();
}

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string name() const override { return "self"; }
  void all_reduce(Tensor&, ReduceOp) override {}
  void all_gather(const Tensor& tensor, Tensor& out) override { copy(tensor, out, "all_gather"); }
  void reduce_scatter(const Tensor& tensor, Tensor& out) override {
    copy(tensor, out, "reduce_scatter");
  }
  void broadcast(Tensor&, int root) override { check_root(root, "broadcast"); }
  void barrier() override {}
};

}  // namespace

std::unique_ptr<Communicator> self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace heed
