// Plans of who shares what, the state of a model split by one, and what ranks send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distributed/state.h"
#include "tests/core/raises.h"
#include "tests/distributed/split_modules.h"

namespace heed {
namespace {

using testing::expect_close;
using testing::fill;
using ::testing::HasSubstr;
using testing::integers;
using testing::small_gpt;
using testing::split_model;

TEST(TensorParallel, PlansThatDoNotFitAreRefused) {
  nn::GptOptions o = small_gpt();
  o.heads = 5;
  nn::Gpt five(o);
  EXPECT_THAT(request_error([&] { split_model(five); }),
              HasSubstr(fmt::format("parallel.tensor: blocks.0.attn: {} ranks cannot share 5 heads",
                                    world().size())));
  nn::Gpt model(small_gpt());
  EXPECT_THAT(request_error([&] {
                split_tensors(model, world(), {{"layers.*", SplitKind::hidden}});
              }),
              HasSubstr("'layers.*' matches no module with hidden features to share"));
  nn::Linear other(4, 4);
  EXPECT_THAT(request_error([&] { split_plan(other); }), HasSubstr("is none of these"));
}

TEST(TensorParallel, WholeStateAndBack) {
  const auto make = [] {
    auto model = std::make_unique<nn::Gpt>(small_gpt());
    fill(*model);
    return model;
  };
  const auto whole = make(), own = make();
  split_model(*own);
  Mesh mesh(world(), {.tensor = world().size()});
  const NamedTensors want = nn::state_dict(*whole), got = whole_state(*own, mesh);
  if (world().rank() == 0) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].first, want[i].first);
      expect_close(got[i].second, want[i].second, want[i].first);
    }
  }
  // Moments go with their parameters; loading gives each rank its parts back.
  NamedTensors moments = {{"step", Tensor::scalar(int64_t{7})}};
  for (const auto& [name, tensor] : want) moments.emplace_back("exp_avg." + name, tensor);
  const NamedTensors parts = own_state(moments, *own);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_close(parts[i + 1].second, nn::state_dict(*own)[i].second, parts[i + 1].first);
  }
  const NamedTensors joined = whole_state(parts, *own, mesh);
  if (world().rank() == 0) {
    ASSERT_EQ(joined.size(), moments.size());
  }
  for (size_t i = 0; i < joined.size() && world().rank() == 0; ++i) {
    expect_close(joined[i].second, moments[i].second, joined[i].first);
  }
  const auto fresh = make();
  split_model(*fresh);
  for (const auto& named : fresh->named_tensors()) kernels::fill(*named.tensor, 0.0);
  nn::load_state_dict(*fresh, want);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_close(nn::state_dict(*fresh)[i].second, nn::state_dict(*own)[i].second, want[i].first);
  }
}

// All-reduces of [rows, dim]: one for the embedding and two a block, both ways; four numbers a row
// and rank for the loss; a number for its seed; and nothing else. Where tokens are shared each of a
// block's is a reduce-scatter and an all-gather, and the stack's end gathers once more.
TEST(TensorParallel, SendsWhatIsCountedByHand) {
  for (const bool tokens : {false, true}) {
    nn::GptOptions o = small_gpt();
    o.context = 12;
    nn::Gpt model(o);
    model.initialise(1);
    const auto ranks = world().split(0, world().rank());
    split_tensors(model, *ranks, split_plan(model), tokens);
    const int64_t rows = 3 * 12, n = world().size(), f32 = 4;
    const Tensor ids = integers({3, 12}, 29, "ids");
    const int64_t before = ranks->bytes_sent();
    backward(model.loss(ids, ids));
    const int64_t half = rows * o.dim * f32 * (n - 1) / n;  // of an all-reduce
    const int64_t loss = rows * 4 * f32 * (n - 1) + 2 * 8 * (n - 1) / n;
    EXPECT_EQ(ranks->bytes_sent() - before,
              2 * (1 + 2 * o.layers) * 2 * half + (tokens ? 2 * half : 0) + loss);
  }
}

}  // namespace
}  // namespace heed
