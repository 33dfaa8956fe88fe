// Stages of a pipeline against the whole model on one rank, in f64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distributed/pipeline.h"
#include "distributed/world.h"
#include "nn/layers/linear.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "tests/core/raises.h"

namespace heed {
namespace {

using testing::HasSubstr;

nn::GptOptions gpt_options(bool tied, bool checkpointing) {
  nn::GptOptions o;
  o.vocab = 11;
  o.context = 6;
  o.layers = 5;
  o.dim = 8;
  o.heads = 2;
  o.tied = tied;
  o.dropout = 0.2;
  o.checkpointing = checkpointing;
  return o;
}

Tensor ids_of(int64_t batch, int64_t shift) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 3 * 6; ++i) ids.push_back((7 * i + 3 * batch + shift) % 11);
  return Tensor::from(ids, {3, 6});
}

double norm_of(const std::vector<double>& x) {
  double largest = 0.0;
  for (const double value : x) largest = std::max(largest, std::abs(value));
  return largest;
}

std::vector<Pipeline::MicroBatch> micro_batches(nn::Gpt& model, int64_t count) {
  std::vector<Pipeline::MicroBatch> batches;
  for (int64_t i = 0; i < count; ++i) {
    const auto loss = [&model, i] {
      random_context() = {5, 0, static_cast<uint64_t>(i)};
      return model.loss(ids_of(i, 0), ids_of(i, 1));
    };
    batches.push_back({loss, 0.1 * static_cast<double>(i + 1)});
  }
  return batches;
}

TEST(Pipeline, LossAndGradientsEqualOneRank) {
  Communicator& ranks = world();
  const auto self = self_communicator();
  for (const bool tied : {true, false}) {
    for (const int64_t count : {1, 2, 3, 7}) {
      const nn::GptOptions options = gpt_options(tied, count == 3);
      nn::Gpt whole(options), part(options);
      for (nn::Gpt* model : {&whole, &part}) {
        model->initialise(3);
        model->convert(DType::f64);
      }
      Pipeline one(*self, whole);
      const double want = one.run(micro_batches(whole, count));
      Pipeline pipeline(ranks, part);
      int64_t before = 0, last = 0, after = 0;
      const double own = pipeline.run(micro_batches(part, count), {[&](bool is_last) {
                                                                     ++before;
                                                                     last += is_last;
                                                                   },
                                                                   [&] { ++after; }});
      EXPECT_EQ(before, count);
      EXPECT_EQ(after, count);
      EXPECT_EQ(last, 1);
      EXPECT_LE(pipeline.most_in_flight(), ranks.size() - ranks.rank());
      EXPECT_TRUE(pipeline.is_last() || own == 0.0);
      EXPECT_NEAR(ranks.all_reduce_number(own), want, 1e-12 * std::abs(want));

      // A parameter's gradient is the sum over the stages that hold it.
      std::map<std::string, Tensor> held;
      for (const auto& named : part.named_parameters()) held[named.name] = *named.tensor;
      for (const auto& named : whole.named_parameters()) {
        Tensor sum = Tensor::zeros(named.tensor->shape(), DType::f64);
        const auto found = held.find(named.name);
        if (found != held.end() && grad(found->second).defined()) {
          sum = Tensor::from(grad(found->second).to_vector<double>(), sum.shape());
        }
        ranks.all_reduce(sum);
        const double holders = ranks.all_reduce_number(found != held.end() ? 1.0 : 0.0);
        EXPECT_EQ(holders, named.name.starts_with("blocks.") ? 1 : ranks.size()) << named.name;
        const std::vector<double> x = sum.to_vector<double>();
        const std::vector<double> y = grad(*named.tensor).to_vector<double>();
        for (size_t i = 0; i < x.size(); ++i) {
          ASSERT_NEAR(x[i], y[i], 1e-12 * (1e-3 + norm_of(y))) << named.name;
        }
      }
    }
  }
}

TEST(Pipeline, EveryStageSeesTheWholeResultWhenNothingIsRecorded) {
  Communicator& ranks = world();
  nn::EncoderOptions options;
  options.vocab = 9;
  options.layers = 4;
  options.dim = 8;
  options.heads = 2;
  options.classes = 3;
  nn::Encoder whole(options), part(options);
  for (nn::Encoder* model : {&whole, &part}) {
    model->initialise(4);
    model->convert(DType::f64);
    model->eval();
  }
  const Tensor ids = Tensor::from(std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}, {2, 4});
  const NoGrad no_grad;
  const std::vector<double> want = whole.forward(ids).to_vector<double>();
  const Pipeline pipeline(ranks, part);
  for (int repeat = 0; repeat < 2; ++repeat) {
    const std::vector<double> got = part.forward(ids).to_vector<double>();
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-13);
  }
}

TEST(Pipeline, RefusesWhatItCannotCut) {
  Communicator& ranks = world();
  nn::GptOptions options = gpt_options(true, false);
  options.layers = 1;
  nn::Gpt shallow(options);
  EXPECT_THAT(request_error([&] { const Pipeline p(ranks, shallow); }),
              HasSubstr(fmt::format("{} stages for 1 blocks", ranks.size())));
  nn::Linear layer(2, 2);
  EXPECT_THAT(request_error([&] { const Pipeline p(ranks, layer); }),
              HasSubstr("no stack of like"));
}

}  // namespace
}  // namespace heed
