// Parameters that come and go block by block: the gradients of a decoder in f64, what is whole at a
// time, and what is sent.
#include <gtest/gtest.h>

#include <algorithm>

#include "distributed/gathered_blocks.h"
#include "distributed/sharded_reducer.h"
#include "distributed/world.h"
#include "nn/models/gpt.h"

namespace heed {
namespace {

constexpr int64_t kBlocks = 4;

/// A decoder whose ranks share everything, and rows of tokens for all of them.
struct Decoder {
  explicit Decoder(bool checkpointing) : model(options(checkpointing)) {
    model.initialise(3);
    model.convert(DType::f64);
    for (int64_t i = 0; i < rows * length; ++i) {
      ids.push_back(i * i % vocab);
      next.push_back((i * i * 3 + 1) % vocab);
    }
  }

  static nn::GptOptions options(bool checkpointing) {
    nn::GptOptions options;
    options.vocab = vocab;
    options.context = length;
    options.layers = kBlocks;
    options.heads = 2;
    options.dim = 8;
    options.checkpointing = checkpointing;
    return options;
  }

  /// The gradients of the mean loss over these rows, times `weight`.
  void run(int64_t first, int64_t count, double weight) {
    const auto part = [&](const std::vector<int64_t>& all) {
      const auto begin = all.begin() + first * length;
      return Tensor::from(std::vector<int64_t>(begin, begin + count * length), {count, length});
    };
    const Tensor loss = model.loss(part(ids), part(next));
    backward(loss, Tensor::full(loss.shape(), weight, loss.dtype()));
  }

  static constexpr int64_t vocab = 11, length = 6, rows = 12;
  nn::Gpt model;
  std::vector<int64_t> ids, next;
};

/// Blocks whose parameters are in memory, the most at any op of the tape.
class MostWhole {
 public:
  explicit MostWhole(const std::vector<ShardLayout::Parameter>& parameters) {
    const auto look = [this, &parameters] {
      std::vector<bool> whole(kBlocks + 1);
      for (const auto& parameter : parameters) {
        if (parameter.unit > 0 && parameter.tensor.storage()->data != nullptr) {
          whole[static_cast<size_t>(parameter.unit)] = true;
        }
      }
      most_ = std::max(most_, std::count(whole.begin(), whole.end(), true));
    };
    set_tape_observer(
        {.forward = [look](const char*, const auto&, const auto&) { look(); },
         .backward = [look](const char*, const Gradients&, const Gradients&) { look(); }});
  }
  ~MostWhole() { set_tape_observer({}); }
  int64_t most() const { return most_; }

 private:
  int64_t most_ = 0;
};

TEST(GatheredBlocks, GradientsMemoryAndTraffic) {
  Mesh mesh(world(), {.data = world().size()});
  const auto gathers = mesh.data().split(0, world().rank());
  const int64_t n = world().size(), own = Decoder::rows / n;
  for (const bool checkpointing : {false, true}) {
    SCOPED_TRACE(checkpointing ? "checkpointed" : "not checkpointed");
    Decoder decoder(checkpointing);
    decoder.run(0, Decoder::rows, 1.0);
    const BlockUnits units(decoder.model);
    EXPECT_EQ(units.count(), kBlocks);
    std::vector<ShardLayout::Parameter> parameters;
    std::vector<std::vector<double>> whole;
    for (const auto& [name, tensor] : nn::trained_tensors(decoder.model)) {
      parameters.push_back({.name = name, .tensor = tensor, .unit = units.of(tensor)});
      EXPECT_EQ(units.of(tensor), name.starts_with("blocks.") ? name[7] - '0' + 1 : 0) << name;
      whole.push_back(grad(tensor).to_vector<double>());
      clear_grad(tensor);
    }

    ShardedParameters sharded(Sharding::parameters, parameters, mesh, *gathers);
    gather_blocks_on_use(decoder.model, sharded);
    ShardedReducer reducer(sharded.layout(), mesh);
    ASSERT_EQ(sharded.layout().buckets().size(), static_cast<size_t>(kBlocks + 1));
    EXPECT_EQ(sharded.layout().buckets().front().unit, kBlocks);  // as the backward pass comes
    const int64_t gathered = gathers->bytes_sent();
    sharded.require(0);
    {
      const MostWhole watch(parameters);
      reducer.begin();
      decoder.run(world().rank() * own, own, 1.0 / static_cast<double>(n));
      reducer.finish();
      EXPECT_EQ(watch.most(), 1);
    }
    for (const auto& parameter : parameters) {
      EXPECT_EQ(parameter.tensor.storage()->data == nullptr, parameter.unit > 0);
      EXPECT_FALSE(grad(parameter.tensor).defined());
    }
    sharded.release();

    const std::vector<Tensor> shares = reducer.take();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const ElementRange held = sharded.held(i);
      ASSERT_EQ(shares[i].defined(), held.size() > 0);
      if (!shares[i].defined()) continue;
      const std::vector<double> share = shares[i].to_vector<double>();
      for (size_t k = 0; k < share.size(); ++k) {
        EXPECT_NEAR(share[k], whole[i][static_cast<size_t>(held.begin) + k], 1e-12);
      }
    }
    // A block for either pass, but for the last one, which stays unless it is computed again.
    int64_t bytes = 0;
    for (const ShardLayout::Bucket& bucket : sharded.layout().buckets()) {
      const bool once = bucket.unit == 0 || (bucket.unit == kBlocks && !checkpointing);
      bytes += (once ? 1 : 2) * bucket.chunk * (n - 1) * int64_t{sizeof(double)};
    }
    EXPECT_EQ(gathers->bytes_sent() - gathered, bytes);
  }
}

}  // namespace
}  // namespace heed
