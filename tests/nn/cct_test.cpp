// Compact Transformers: sizes and operations as published, tokenizer, pooling and block against
// their formulas, the forms for texts.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "nn/models/compact_text.h"
#include "nn/models/vit.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::unique_ptr<Module> vit(const std::string& preset, const std::string& rest = "") {
  return find_module("vit", "model").make(yaml(fmt::format("{{preset: {}{}}}", preset, rest)));
}

struct Published {
  const char* preset;
  const char* rest;
  int64_t parameters;
};

// Computed from the architecture, which the official model code defines; they round to every number
// of its README (3.191M, 3.717M, 3.74M, 3.89M; 3.190M; 0.284M, 0.482M, 3.327M, 3.760M, 3.853M;
// 22.36M, 22.51M).
TEST(Cct, ParametersAsPublished) {
  for (const Published& p : {
           Published{"vit-lite-6-4", "", 3190538},
           {"vit-lite-7-4", "", 3716874},
           {"vit-lite-7-8", "", 3741450},
           {"vit-lite-7-16", "", 3885834},
           {"cvt-6-4", "", 3190283},
           {"cvt-7-4", "", 3716619},
           {"cct-2-3x2", "", 283723},
           {"cct-2-3x2", ", position: sinusoidal", 275531},
           {"cct-2-3x2", ", channels: 1", 282571},
           {"cct-4-3x2", "", 482123},
           {"cct-4-3x2", ", position: sinusoidal", 473931},
           {"cct-6-3x1", "", 3233803},
           {"cct-6-3x2", "", 3326923},
           {"cct-7-3x1", "", 3760139},
           {"cct-7-3x1", ", position: sinusoidal", 3694603},
           {"cct-7-3x1", ", classes: 100", 3783269},
           {"cct-7-3x2", "", 3853259},
           {"cct-7-7x2", "", 4573735},
           {"cct-7-7x2", ", position: sinusoidal", 4523559},
           {"cct-14-7x2", "", 22367273},
           {"cct-14-7x2-384", "", 22513193},
           {"vit-lite-2-4", ", channels: 1", 210570},
       }) {
    EXPECT_EQ(vit(p.preset, p.rest)->parameter_count(), p.parameters) << p.preset << p.rest;
  }
}

// Of the texts' table: without the word vectors (nlp/README.md: 0.238M, 0.276M, 0.353M; 0.436M,
// 0.475M, 0.551M; 3.237M, 3.313M, 3.467M). It does not list the others, whose numbers follow from
// the code: for C features and H hidden ones, layers of 4 C^2 + 2 C H + 6 C + H, a norm of 2 C, the
// head of 4 C + 4, the class token of C or the pooling's C + 1, and patches of 4 x 300 C.
TEST(Cct, ParametersOfTextsAsPublished) {
  for (const Published& p : {
           Published{"text-cct-2-k1", "", 237701},
           {"text-cct-2-k2", "", 276101},
           {"text-cct-2-k4", "", 352901},
           {"text-cct-4-k1", "", 436101},
           {"text-cct-4-k2", "", 474501},
           {"text-cct-4-k4", "", 551301},
           {"text-cct-6-k1", "", 3236613},
           {"text-cct-6-k2", "", 3313413},
           {"text-cct-6-k4", "", 3467013},
           {"text-cvt-2", "", 352901},
           {"text-cvt-4", "", 551301},
           {"text-cvt-6", "", 947077},
           {"text-vit-2", "", 352900},
           {"text-vit-4", "", 551300},
           {"text-vit-6", "", 3467012},
           {"text-transformer-2", "", 1086304},
           {"text-transformer-4", "", 2170504},
           {"text-transformer-6", "", 4336504},
       }) {
    constexpr int64_t kVocab = 7;
    const auto model =
        find_module("compact_text", "model")
            .make(yaml(fmt::format("{{preset: {}, vocab: {}, classes: 4}}", p.preset, kVocab)));
    EXPECT_EQ(model->parameter_count() - 300 * kVocab, p.parameters) << p.preset;
  }
}

// Multiply-adds, of matrices, convolutions and attention. The README's 1.19 G of CCT-7/3x1 hold
// attention's products; its 5.11 G and 15.02 G of CCT-14 do not.
TEST(Cct, OperationsAsPublished) {
  const auto giga = [](const char* preset) {
    return static_cast<const Vit&>(*vit(preset)).flops() / 2e9;
  };
  EXPECT_NEAR(giga("cct-7-3x1"), 1.19, 0.01 * 1.19);
  const auto products = [](double tokens) { return 14.0 * 2.0 * tokens * tokens * 384.0 / 1e9; };
  EXPECT_NEAR(giga("cct-14-7x2") - products(196), 5.11, 0.01 * 5.11);
  EXPECT_NEAR(giga("cct-14-7x2-384") - products(576), 15.02, 0.01 * 15.02);
}

TEST(ConvTokenizer, CountsOfTokens) {
  const auto count = [](int64_t size, int64_t kernel, int64_t convs) {
    return ConvTokenizerOptions{.dim = 1, .kernel = kernel, .convs = convs}.grid({size, size});
  };
  EXPECT_EQ(count(32, 3, 1), (Shape{16, 16}));
  EXPECT_EQ(count(32, 3, 2), (Shape{8, 8}));
  EXPECT_EQ(count(224, 7, 2), (Shape{14, 14}));
  EXPECT_EQ(count(384, 7, 2), (Shape{24, 24}));
  for (const auto& [kernel, tokens] : {std::pair{1, 34}, {2, 33}, {4, 33}}) {
    const ConvTokenizerOptions text{.dim = 1, .spatial = 1, .kernel = kernel, .pool = 2};
    EXPECT_EQ(text.grid({64}), (Shape{tokens})) << kernel;
  }
}

// The definition, pixel by pixel: one convolution with zeros around, the larger of 0 and it, the
// largest of 3 x 3 at every second place.
TEST(ConvTokenizer, EqualsItsDefinition) {
  const int64_t rows = 7, columns = 5, channels = 2, dim = 3;
  ConvTokenizer tokenizer({.channels = channels, .dim = dim});
  tokenizer.assign_paths();
  tokenizer.convert(DType::f64);
  testing::randomise(tokenizer);
  const Tensor x = random_tensor({2, rows, columns, channels}, "x", DType::f64);
  const std::vector<double> in = x.to_vector<double>();
  const std::vector<double> w = tokenizer.convs[0].weight.to_vector<double>();
  const auto pixel = [&](int64_t b, int64_t i, int64_t j, int64_t o) {
    double sum = 0.0;
    for (int64_t u = 0; u < 3; ++u) {
      for (int64_t v = 0; v < 3; ++v) {
        const int64_t y = i + u - 1, z = j + v - 1;
        if (y < 0 || y >= rows || z < 0 || z >= columns) continue;
        for (int64_t c = 0; c < channels; ++c) {
          sum += w[static_cast<size_t>(((o * 3 + u) * 3 + v) * channels + c)] *
                 in[static_cast<size_t>(((b * rows + y) * columns + z) * channels + c)];
        }
      }
    }
    return std::max(sum, 0.0);
  };
  std::vector<double> want;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t i = 0; i < rows; i += 2) {
      for (int64_t j = 0; j < columns; j += 2) {
        for (int64_t o = 0; o < dim; ++o) {
          double largest = 0.0;
          for (int64_t y = std::max<int64_t>(0, i - 1); y <= std::min(rows - 1, i + 1); ++y) {
            for (int64_t z = std::max<int64_t>(0, j - 1); z <= std::min(columns - 1, j + 1); ++z)
              largest = std::max(largest, pixel(b, y, z, o));
          }
          want.push_back(largest);
        }
      }
    }
  }
  const Tensor tokens = tokenizer.forward(x);
  EXPECT_EQ(tokens.shape(), (Shape{2, 4 * 3, dim}));
  // Sums of 18 products.
  EXPECT_LT(relative_distance(tokens, Tensor::from(want, tokens.shape())), 1e-14);
}

// A shift by 4 pixels is a shift by one token after two pools, away from the borders.
TEST(ConvTokenizer, TokensMoveWithTheImage) {
  ConvTokenizer tokenizer({.channels = 1, .dim = 5, .convs = 2, .width = 4});
  tokenizer.initialise(1);
  const Tensor wide = random_tensor({1, 32, 36, 1}, "x");
  const auto map = [&](int64_t from) {
    return reshape(tokenizer.forward(slice(wide, 2, from, from + 32)), {1, 8, 8, 5});
  };
  const Tensor still = map(0), moved = map(4);
  EXPECT_TRUE(bitwise_equal(contiguous(slice(still, 2, 3, 7)), contiguous(slice(moved, 2, 2, 6))));
}

// Which tokens see a word: by convolving and pooling its indicator.
TEST(ConvTokenizer, KnowsWhichTokensSeeAnItem) {
  for (const int64_t kernel : {1, 2, 3, 4, 5, 7}) {
    for (const int64_t pool : {0, 2, 3}) {
      for (const int64_t convs : {1, 2}) {
        const int64_t size = 23;
        const ConvTokenizerOptions o{.channels = 1,
                                     .dim = 1,
                                     .spatial = 1,
                                     .kernel = kernel,
                                     .convs = convs,
                                     .width = 1,
                                     .pool = pool};
        ConvTokenizer tokenizer(o);
        tokenizer.initialise(1);
        for (const auto& p : tokenizer.named_parameters())
          *p.tensor = Tensor::full(p.tensor->shape(), 1.0);
        for (const auto& [begin, end] : {std::pair{0, 1}, {0, 9}, {0, 23}, {5, 6}, {22, 23}}) {
          std::vector<float> mark(static_cast<size_t>(size), 0.0f);
          std::fill(mark.begin() + begin, mark.begin() + end, 1.0f);
          const std::vector<float> seen =
              tokenizer.forward(Tensor::from(mark, {1, size, 1})).to_vector<float>();
          const auto [first, last] = tokenizer.seeing(begin, end, size);
          for (int64_t t = 0; t < static_cast<int64_t>(seen.size()); ++t) {
            EXPECT_EQ(seen[static_cast<size_t>(t)] > 0.0f, first <= t && t < last)
                << kernel << " " << pool << " " << convs << " " << begin << " " << t;
          }
        }
      }
    }
  }
}

TEST(SequencePool, WorkedExample) {
  SequencePool pool(SequencePoolOptions{2});
  pool.assign_paths();
  pool.convert(DType::f64);
  Tensor weight = Tensor::from(std::vector<double>{std::log(2.0), 0.0}, {1, 2});
  Tensor bias = Tensor::from(std::vector<double>{5.0}, {1});
  pool.score.weight = require_grad(weight);
  pool.score.bias = require_grad(bias);
  const Tensor x = Tensor::from(std::vector<double>{1, 0, 0, 1, 1, 1}, {1, 3, 2});
  // Scores ln 2 + 5, 5, ln 2 + 5: weights 2/5, 1/5, 2/5.
  const Tensor y = pool.forward(x);
  EXPECT_EQ(y.shape(), (Shape{1, 2}));
  EXPECT_NEAR(y.to_vector<double>()[0], 0.8, 1e-15);
  EXPECT_NEAR(y.to_vector<double>()[1], 0.6, 1e-15);
  backward(sum(mul(y, random_tensor({1, 2}, "dy", DType::f64))));
  EXPECT_NEAR(grad(pool.score.bias).item(), 0.0, 1e-15);
  EXPECT_GT(std::abs(grad(pool.score.weight).to_vector<double>()[0]), 1e-3);
}

TEST(SequencePool, OfEqualScoresIsTheMeanAndOfOneTokenTheToken) {
  SequencePool pool(SequencePoolOptions{4});
  pool.initialise(1);
  const Tensor x = random_tensor({3, 7, 4}, "x");
  const Tensor one = random_tensor({3, 1, 4}, "one");
  EXPECT_TRUE(bitwise_equal(pool.forward(one), contiguous(squeeze(one, 1))));
  pool.score.weight = Tensor::zeros({1, 4});
  EXPECT_LT(relative_distance(pool.forward(x), mean(x, {1})), 1e-6);
  const Tensor lengths = Tensor::from(std::vector<int64_t>{7, 3, 0}, {3});
  const Tensor y = pool.forward(x, lengths);
  const auto row = [&](int64_t b, int64_t count) {
    return mean(slice(slice(x, 0, b, b + 1), 1, 0, count), {1});
  };
  EXPECT_LT(relative_distance(slice(y, 0, 1, 2), row(1, 3)), 1e-6);
  EXPECT_LT(relative_distance(slice(y, 0, 2, 3), row(2, 7)), 1e-6);
}

// x1 = x + attention(norm1(x));  y = norm2(x1);  out = y + mlp(y).
TEST(CompactBlock, SecondNormReplacesTheStream) {
  TransformerBlockOptions o;
  o.dim = 6;
  o.heads = 2;
  o.hidden = 8;
  o.normed_stream = true;
  o.qkv_bias = false;
  TransformerBlock block(o);
  block.assign_paths();
  block.convert(DType::f64);
  testing::randomise(block);
  EXPECT_EQ(block.parameter_count(), 6 * 18 + 6 * 6 + 6 + 4 * 6 + 2 * 6 * 8 + 8 + 6);
  const Tensor x = random_tensor({2, 5, 6}, "x", DType::f64);
  const Tensor out = sum_of(block.forward({x}, {}));
  const Tensor y = block.norm2->forward(add(x, block.attn->forward(block.norm1->forward(x))));
  EXPECT_LT(relative_distance(out, add(y, block.mlp->forward(y))), 1e-14);
  EXPECT_GT(relative_distance(out, add(add(x, block.attn->forward(block.norm1->forward(x))),
                                       block.mlp->forward(y))),
            0.1);
}

TEST(Cct, WithoutPositionsCvtDoesNotKnowTheOrderOfPatches) {
  const NoGrad no_grad;
  const auto made = vit("cvt-2-4", ", position: none, layers: 2, dim: 16, hidden: 16");
  made->initialise(3);
  made->eval();
  auto& model = static_cast<Vit&>(*made);
  const Tensor x = random_tensor({2, 32, 32, 3}, "x");
  // Rows of patches in another order, and columns too.
  const auto cut = [](const Tensor& t, int64_t p) { return slice(t, 1, 4 * p, 4 * p + 4); };
  std::vector<Tensor> rows;
  for (const int64_t p : {3, 0, 7, 1, 6, 2, 5, 4}) rows.push_back(cut(x, p));
  const Tensor mixed = concat(rows, 1);
  // f32 over 64 tokens and two blocks, in another order of summation.
  EXPECT_LT(relative_distance(model.forward(mixed), model.forward(x)), 1e-4);
  const auto with = vit("cvt-2-4", ", layers: 2, dim: 16, hidden: 16");
  with->initialise(3);
  with->eval();
  auto& placed = static_cast<Vit&>(*with);
  EXPECT_GT(relative_distance(placed.forward(mixed), placed.forward(x)), 1e-3);
}

TEST(Cct, GradientsAgreeWithDifferences) {
  EXPECT_EQ(
      gradcheck_module("conv_tokenizer", "layer", yaml("{channels: 2, dim: 3, convs: 2, width: 2}"),
                       {{"x", random_tensor({1, 6, 5, 2}, "x", DType::f64)}}),
      "");
  EXPECT_EQ(gradcheck_module("conv_tokenizer", "layer",
                             yaml("{channels: 3, dim: 2, spatial: 1, kernel: 4, pool: 2}"),
                             {{"x", random_tensor({2, 7, 3}, "x", DType::f64)}}),
            "");
  EXPECT_EQ(gradcheck_module("sequence_pool", "layer", yaml("{dim: 3}"),
                             {{"x", random_tensor({2, 5, 3}, "x", DType::f64)},
                              {"lengths", Tensor::from(std::vector<int64_t>{5, 2}, {2})}}),
            "");
  const Inputs images{{"x", random_tensor({2, 6, 7, 2}, "x", DType::f64)}};
  EXPECT_EQ(gradcheck_module(
                "vit", "model",
                yaml("{height: 6, width: 7, channels: 2, classes: 3, stem: convs, stem_convs: 2, "
                     "stem_width: 3, layers: 2, dim: 4, heads: 2, hidden: 5, pool: attention, "
                     "normed_stream: true, qkv_bias: false, norm_eps: 1e-5}"),
                images),
            "");
  for (const char* form : {"stem: convs, stem_kernel: 1", "stem: convs, mask_pool: true",
                           "stem: patch, stem_kernel: 3, pool: cls", "stem: words, dim: 6"}) {
    EXPECT_EQ(
        gradcheck_module(
            "compact_text", "model",
            yaml(fmt::format(
                "{{vocab: 9, classes: 3, word_dim: 6, layers: 2, heads: 2, "
                "hidden: 5, attention_dropout: 0, drop_path: 0, {}{}}}",
                form, std::string(form).find("dim: 6") == std::string::npos ? ", dim: 4" : "")),
            {{"ids", random_ids({3, 8}, 9, "ids")},
             {"lengths", Tensor::from(std::vector<int64_t>{8, 3, 1}, {3})}}),
        "")
        << form;
  }
}

TEST(CompactText, WordsBehindARowsEndHaveNoInfluence) {
  const NoGrad no_grad;
  for (const char* preset : {"text-cct-2-k1", "text-cct-2-k2", "text-cct-2-k4", "text-cvt-2",
                             "text-vit-2", "text-transformer-2"}) {
    auto model = make_classifier(
        yaml(fmt::format("{{type: compact_text, preset: {}, vocab: 50}}", preset)), 4);
    model->initialise(2);
    model->eval();
    const Tensor ids = random_ids({2, 21}, 50, "ids"),
                 lengths = Tensor::from(std::vector<int64_t>{21, 10}, {2});
    Tensor other = Tensor::from(ids.to_vector<int64_t>(), ids.shape());
    for (int64_t i = 10; i < 21; ++i) other.data<int64_t>()[21 + i] = (i * 7) % 50;
    const Tensor y = model->forward(ids, lengths);
    EXPECT_EQ(y.shape(), (Shape{2, 4}));
    EXPECT_TRUE(bitwise_equal(y, model->forward(other, lengths))) << preset;
    EXPECT_FALSE(bitwise_equal(y, model->forward(ids, Tensor()))) << preset;
    // A full row is the same with its length said.
    const Tensor full = Tensor::from(std::vector<int64_t>{21, 21}, {2});
    EXPECT_TRUE(bitwise_equal(model->forward(ids, full), model->forward(ids, Tensor())));
    EXPECT_EQ(make_classifier(model->config())->parameter_count(), model->parameter_count());
    EXPECT_GT(model->flops(), 0.0);
  }
}

TEST(CompactText, CountsTheTokenThatPaddingCompletes) {
  const auto of_context = [](int64_t context) {
    return CompactText(read_compact_text_options(
        yaml(fmt::format("{{preset: text-vit-2, vocab: 9, classes: 3, context: {}}}", context))));
  };
  const CompactText uneven = of_context(61), even = of_context(64);
  EXPECT_EQ(uneven.tokens(60), 1 + 15);
  EXPECT_EQ(uneven.tokens(61), 1 + 16);
  EXPECT_EQ(uneven.tokens(64), 1 + 16);
  EXPECT_EQ(uneven.flops(), even.flops());
  EXPECT_LT(of_context(60).flops(), even.flops());
}

TEST(CompactText, SaysWhatCannotBe) {
  const auto refuses = [](const char* config) {
    EXPECT_THROW(find_module("compact_text", "model").make(yaml(config)), RequestError) << config;
  };
  refuses("{}");
  refuses("{vocab: 5, classes: 3, stem: words}");
  refuses("{vocab: 5, classes: 3, heads: 5}");
  refuses("{preset: text-cct-3-k1, vocab: 5, classes: 3}");
  EXPECT_THROW(vit("cct-2-3x2", ", stem: conv"), RequestError);
}

}  // namespace
}  // namespace heed::nn
