// A small decoder of the ops that a GPT recipe runs, trained on the device and on the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/attention.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/view.h"
#include "core/allocator.h"
#include "core/storage_memory.h"
#include "kernels/optim/adam.h"
#include "kernels/optim/lists.h"
#include "tests/cuda/device_under_test.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::kDevice;
using testing::normal;

constexpr int64_t kVocab = 37, kDim = 24, kHeads = 3, kKvHeads = 1, kHidden = 40, kTokens = 13;
constexpr int64_t kPacked = (kHeads + 2 * kKvHeads) * (kDim / kHeads);

class Decoder {
 public:
  Decoder(Device device, DType dtype) : device_(device), dtype_(dtype) {
    for (const char* name :
         {"embed", "qkv", "out", "gate", "up", "down", "norm1", "norm2", "norm3"}) {
      Tensor p = initial(name);
      p.storage()->move_to(device);
      parameters_.push_back(require_grad(p));
      for (auto* moments : {&first_, &second_}) {
        moments->push_back(Tensor::zeros(p.shape(), DType::f32, device));
      }
    }
  }

  /// One step of AdamW with clipping; the loss before it.
  double step(const Tensor& ids, const Tensor& targets, int64_t number) {
    random_context() = {5, static_cast<uint64_t>(number), 0};
    const Tensor mean = loss(ids, targets);
    backward(mean);
    std::vector<Tensor> gradients;
    for (const Tensor& p : parameters_) gradients.push_back(grad(p));
    const double norm = kernels::global_norm(gradients);
    std::vector<kernels::AdamUpdate> updates;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      updates.push_back({.parameter = parameters_[i],
                         .gradient = gradients[i],
                         .exp_avg = first_[i],
                         .exp_avg_sq = second_[i],
                         .lr = 0.01,
                         .weight_decay = 0.1});
    }
    kernels::adam(updates, kernels::Decay::decoupled, number, std::min(1.0, 1.0 / norm));
    for (const Tensor& p : parameters_) clear_grad(p);
    return mean.item();
  }

 private:
  static Tensor initial(const std::string& name) {
    if (name.starts_with("norm")) return Tensor::full({kDim}, 1.0);
    const auto scaled = [&](const Shape& shape) {
      return mul(normal(shape, name, DType::f32), 0.2);
    };
    if (name == "embed") return scaled({kVocab, kDim});
    if (name == "qkv") return scaled({kPacked, kDim});
    if (name == "out") return scaled({kDim, kDim});
    return name == "down" ? scaled({kDim, kHidden}) : scaled({kHidden, kDim});
  }

  Tensor loss(const Tensor& ids, const Tensor& targets) const {
    const auto& p = parameters_;
    const Tensor positions = Tensor::from(
        [] {
          std::vector<int64_t> all;
          for (int64_t i = 0; i < kTokens; ++i) all.push_back(i);
          return all;
        }(),
        {kTokens});
    Tensor x = dropout(embedding(p[0], ids, dtype_), 0.1, current_key(1));
    const auto weight = [&](size_t i) { return cast(p[i], dtype_); };
    Tensor qkv = linear(rms_norm(x, p[6]), weight(1));
    qkv = rotary_qkv(qkv, kHeads, kKvHeads, positions);
    const AttentionSpec causal{.pattern = AttentionPattern::causal()};
    const Tensor attended = linear(attention_qkv(qkv, kHeads, kKvHeads, causal), weight(2));
    Tensor normed;
    std::tie(x, normed) = add_rms_norm(x, attended, p[7]);
    const Tensor hidden = swiglu(linear(normed, weight(3)), linear(normed, weight(4)));
    x = add(x, linear(hidden, weight(5)));
    return linear_cross_entropy(rms_norm(x, p[8]), p[0], {}, targets);
  }

  Device device_;
  DType dtype_;
  std::vector<Tensor> parameters_, first_, second_;
};

std::vector<double> losses(Device device, DType dtype, int way = 0) {
  testing::run_in_way(way);
  Decoder model(device, dtype);
  std::vector<double> all;
  for (int64_t step = 1; step <= 8; ++step) {
    const std::string name = fmt::format("batch {}", step % 2);
    all.push_back(model.step(integers({3, kTokens}, kVocab, name),
                             integers({3, kTokens}, kVocab, name + " targets"), step));
  }
  return all;
}

TEST(DeviceTraining, LossesAreTheCpus) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto before = testing::launches();
    allocator::reset_peak(kDevice);
    const int64_t held = allocator::stats(kDevice).peak_bytes;
    const auto got = losses(kDevice, dtype), want = losses(kCpu, dtype);
    EXPECT_GT(allocator::stats(kDevice).peak_bytes, held) << "its tensors lay on the device";
    if (before) {
      EXPECT_GT(*testing::launches() - *before, 8 * 20) << "it ran on the device";
    }
    EXPECT_LT(want.back(), want.front());
    // sums in another order, f32 through 8 updates of size 0.01; bf16 rounds every activation
    const double tolerance = dtype == DType::f32 ? 1e-4 : 2e-2;
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], tolerance * want[i]) << name_of(dtype) << ", step " << i + 1;
    }
  }
  const auto plain = losses(kDevice, DType::f32);
  for (int way = 1; way < testing::ways_to_run(); ++way) {
    EXPECT_EQ(losses(kDevice, DType::f32, way), plain) << way;
  }
}

}  // namespace
}  // namespace heed
