// Documents packed into rows: each gets what it would alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "core/views.h"
#include "kernels/attention/tile_plan.h"
#include "nn/models/gpt.h"
#include "tests/core/raises.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using ::testing::HasSubstr;
using testing::random_ids;
using testing::relative_distance;

constexpr int64_t kTokens = 150;  // more than two tiles of keys, no multiple of one

std::unique_ptr<Gpt> make(const std::string& config) {
  auto gpt = std::make_unique<Gpt>(read_gpt_options(
      parse_yaml("{vocab: 31, context: 150, layers: 2, dim: 16, heads: 2, " + config + "}", "t")));
  gpt->initialise(11);
  gpt->convert(DType::f64);
  testing::randomise(*gpt);
  return gpt;
}

// Lengths of the documents of each row; the first row is one alone.
const std::vector<std::vector<int64_t>> kDocuments = {
    {kTokens}, {1, 63, 64, 1, 1, 20}, {70, 13, 67}};

Tensor document_ids() {
  std::vector<int64_t> ids;
  for (const auto& lengths : kDocuments) {
    for (size_t d = 0; d < lengths.size(); ++d) {
      ids.insert(ids.end(), static_cast<size_t>(lengths[d]), static_cast<int64_t>(d));
    }
  }
  return Tensor::from(ids, {std::ssize(kDocuments), kTokens});
}

struct Alone {
  int64_t row, begin, end;
};
std::vector<Alone> every_document() {
  std::vector<Alone> all;
  for (int64_t row = 0; row < std::ssize(kDocuments); ++row) {
    int64_t begin = 0;
    for (const int64_t length : kDocuments[static_cast<size_t>(row)]) {
      all.push_back({row, begin, begin + length});
      begin += length;
    }
  }
  return all;
}

Tensor part(const Tensor& x, const Alone& d) {
  return views::slice(views::slice(x, 0, d.row, d.row + 1), 1, d.begin, d.end);
}

const std::vector<std::string> kStyles = {
    "position: learned",
    "position: rotary, kv_heads: 1, qk_norm: true, norm: rms_norm, mlp: swiglu",
    "position: rotary, rotary_dim: 2, parallel_residual: true, tied: false",
    "position: sinusoidal, checkpointing: true",
    "position: alibi",
    "position: none",
    "position: rotary, attention: {type: window, window: 9}",
    "position: rotary, attention: {type: softmax, sink: true, softcap: 5}"};

TEST(PackedDocuments, GetTheLogitsThatTheyGetAlone) {
  const Tensor ids = random_ids({3, kTokens}, 31, "ids");
  for (const std::string& style : kStyles) {
    const auto gpt = make(style);
    const NoGrad no_grad;
    const Tensor packed = gpt->forward(ids, {document_ids()});
    for (const Alone& d : every_document()) {
      // The same sums in another order: some thousand roundings of f64.
      EXPECT_LT(relative_distance(part(packed, d), gpt->forward(part(ids, d))), 1e-12)
          << style << ": row " << d.row << ", tokens from " << d.begin;
    }
    EXPECT_GT(relative_distance(gpt->forward(ids), packed), 1e-3) << "joined they are not these";
  }
}

TEST(PackedDocuments, GiveTheGradientsThatTheyGiveAlone) {
  const Tensor ids = random_ids({3, kTokens}, 31, "ids");
  Tensor targets = random_ids({3, kTokens}, 31, "targets");
  const std::vector<Alone> documents = every_document();
  double counted = 3 * kTokens;
  for (const Alone& d : documents) {  // the last token of a document predicts nothing
    targets.data<int64_t>()[d.row * kTokens + d.end - 1] = -100;
    --counted;
  }
  for (const std::string& style : kStyles) {
    const auto gpt = make(style);
    backward(gpt->loss(ids, targets, {document_ids()}));
    std::vector<Tensor> packed;
    for (const auto& p : gpt->named_parameters()) packed.push_back(grad(*p.tensor));
    for (const auto& p : gpt->named_parameters()) clear_grad(*p.tensor);
    for (const Alone& d : documents) {
      const auto own = static_cast<double>(d.end - d.begin - 1);
      if (own == 0) continue;
      backward(mul(gpt->loss(part(ids, d), part(targets, d)), own / counted));
    }
    size_t i = 0;
    for (const auto& p : gpt->named_parameters()) {
      EXPECT_LT(relative_distance(packed[i++], grad(*p.tensor)), 1e-10) << style << ": " << p.name;
    }
  }
}

TEST(PackedDocuments, MayKeepThePositionsOfTheRow) {
  const Tensor ids = random_ids({3, kTokens}, 31, "ids");
  // Rotary scores know distances alone; learned positions tell.
  const NoGrad no_grad;
  const auto rotary = make(kStyles[1]), learned = make(kStyles[0]);
  EXPECT_LT(relative_distance(rotary->forward(ids, {document_ids(), false}),
                              rotary->forward(ids, {document_ids(), true})),
            1e-12);
  EXPECT_GT(relative_distance(learned->forward(ids, {document_ids(), false}),
                              learned->forward(ids, {document_ids(), true})),
            1e-3);
}

TEST(PackedDocuments, OneToARowIsTheRow) {
  const Tensor ids = random_ids({2, 40}, 31, "ids");
  const NoGrad no_grad;
  for (const std::string& style : kStyles) {
    const auto gpt = make(style);
    EXPECT_LT(relative_distance(gpt->forward(ids, {Tensor::zeros({2, 40}, DType::i64)}),
                                gpt->forward(ids)),
              1e-13)
        << style;
  }
}

TEST(PackedDocuments, AreRefusedWhereTheyWouldMix) {
  const Tensor ids = random_ids({3, kTokens}, 31, "ids");
  for (const char* attention : {"linear", "gated_linear", "power", "selective", "averaged_query",
                                "routing", "{type: window, window: 9, sinks: 2}"}) {
    const std::string slot =
        attention[0] == '{' ? attention : "{type: " + std::string(attention) + "}";
    const auto gpt = make(
        "attentions: [{layers: 1, attention: {type: softmax}}, {layers: 1, "
        "attention: " +
        slot + "}]");
    EXPECT_THAT(request_error([&] { gpt->forward(ids, {document_ids()}); }),
                ::testing::AllOf(HasSubstr("of layer 1 cannot keep packed documents apart"),
                                 HasSubstr("softmax can")))
        << attention;
  }
  const auto gpt = make("position: rotary");
  EXPECT_THROW(gpt->forward(ids, {Tensor::zeros({3, kTokens - 1}, DType::i64)}), Error);
}

// The kernels walk the plan: what is not in it costs nothing.
TEST(PackedDocuments, CostWhatTheirOwnPairsCost) {
  const int64_t tokens = 4096, documents = 32, length = tokens / documents;  // two tiles each
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(static_cast<int32_t>(i / length));
  const PatternExtents extents{1, 1, tokens, tokens};
  const auto plan = kernels::attn::tile_plan(
      AttentionPattern::causal() & AttentionPattern::segments(ids), extents);
  EXPECT_EQ(plan->pairs(), documents * length * (length + 1) / 2);
  EXPECT_EQ(plan->full_tiles(), documents * 1);
  EXPECT_EQ(plan->partial_tiles(), documents * 2);
  const auto joined = kernels::attn::tile_plan(AttentionPattern::causal(), extents);
  EXPECT_EQ(joined->full_tiles() + joined->partial_tiles(), 64 * 65 / 2);
}

}  // namespace
}  // namespace heed::nn
