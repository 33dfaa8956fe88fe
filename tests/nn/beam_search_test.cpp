#include "nn/models/beam_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/loss.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_ids;

constexpr int64_t kEnd = 5, kTokens = 3;

std::unique_ptr<EncoderDecoder> make() {
  auto model = std::make_unique<EncoderDecoder>(read_encoder_decoder_options(
      parse_yaml("{vocab: 6, layers: 2, dim: 8, heads: 2, dropout: 0, start: 5}", "test.yaml")));
  model->initialise(3);
  testing::randomise(*model);
  model->eval();
  return model;
}

/// ln p of a whole text (or of one as long as may be) for one source.
double log_p(EncoderDecoder& model, const Tensor& ids, const std::vector<int64_t>& text) {
  const NoGrad no_grad;
  const auto count = static_cast<int64_t>(text.size());
  const Tensor targets = Tensor::from(text, {1, count});
  return -static_cast<double>(count) * model.loss(ids, targets).item();
}

double scored(double log_p, size_t length, double penalty) {
  return log_p / std::pow((5.0 + static_cast<double>(length)) / 6.0, penalty);
}

/// The best of all texts: those that end, and those of kTokens.
std::vector<int64_t> best_of_all(EncoderDecoder& model, const Tensor& ids, double penalty) {
  std::vector<int64_t> best;
  double best_score = -1e9;
  std::vector<std::vector<int64_t>> open = {{}};
  while (!open.empty()) {
    std::vector<int64_t> text = open.back();
    open.pop_back();
    for (int64_t id = 0; id < 6; ++id) {
      std::vector<int64_t> longer = text;
      longer.push_back(id);
      if (id != kEnd && longer.size() < kTokens) {
        open.push_back(longer);
        continue;
      }
      const double own = scored(log_p(model, ids, longer), longer.size(), penalty);
      if (own > best_score) {
        best_score = own;
        best = longer;
      }
    }
  }
  return best;
}

std::vector<int64_t> found(EncoderDecoder& model, const Tensor& ids, const BeamOptions& options) {
  std::vector<int64_t> text = beam_search(model, ids, {}, options).to_vector<int64_t>();
  while (text.size() > 1 && text[text.size() - 1] == kEnd && text[text.size() - 2] == kEnd) {
    text.pop_back();
  }
  return text;
}

TEST(BeamSearch, FindsTheBestOfAllWhenNothingIsDropped) {
  const auto model = make();
  for (const double penalty : {0.0, 0.6, 2.0}) {
    for (int source = 0; source < 4; ++source) {
      const Tensor ids = random_ids({1, 4}, 6, std::to_string(source));
      const BeamOptions options{36, kTokens, kEnd, penalty};
      EXPECT_EQ(found(*model, ids, options), best_of_all(*model, ids, penalty))
          << "source " << source << ", penalty " << penalty;
    }
  }
}

TEST(BeamSearch, OneBeamIsGreedy) {
  const auto model = make();
  for (int source = 0; source < 8; ++source) {
    const Tensor ids = random_ids({1, 4}, 6, std::to_string(source));
    const Tensor greedy = model->generate(ids, {}, {.tokens = 6, .end = kEnd});
    EXPECT_EQ(beam_search(*model, ids, {}, {1, 6, kEnd, 0.0}).to_vector<int64_t>(),
              greedy.to_vector<int64_t>());
  }
}

// A vocabulary is padded to a round number; what pads it has no text.
TEST(BeamSearch, WritesKnownIdsOnly) {
  const auto model = make();
  const Tensor ids = random_ids({8, 4}, 6, "known");
  const auto largest = [](const Tensor& text) {
    const std::vector<int64_t> all = text.to_vector<int64_t>();
    return *std::max_element(all.begin(), all.end());
  };
  EXPECT_EQ(largest(beam_search(*model, ids, {}, {.beams = 3, .tokens = 6})), 5);
  EXPECT_LT(largest(beam_search(*model, ids, {}, {.beams = 3, .tokens = 6, .ids = 3})), 3);
  EXPECT_EQ(largest(model->generate(ids, {}, {.tokens = 6})), 5);
  EXPECT_LT(largest(model->generate(ids, {}, {.tokens = 6, .ids = 3})), 3);
}

TEST(BeamSearch, PenaltyFavoursLongerTexts) {
  const auto model = make();
  const auto length = [&](double penalty) {
    int64_t all = 0;
    for (int source = 0; source < 8; ++source) {
      const Tensor ids = random_ids({1, 4}, 6, std::to_string(source));
      all += std::ssize(found(*model, ids, {8, 6, kEnd, penalty}));
    }
    return all;
  };
  EXPECT_LT(length(0.0), length(3.0));
}

TEST(BeamSearch, RowsAreSearchedAsIfAlone) {
  const auto model = make();
  const Tensor ids = random_ids({3, 4}, 6, "rows");
  const Tensor lengths = Tensor::from(std::vector<int64_t>{4, 2, 3}, {3});
  const BeamOptions options{3, 5, kEnd, 0.6};
  const Tensor together = beam_search(*model, ids, lengths, options);
  const std::vector<int64_t> all = together.to_vector<int64_t>(), words = ids.to_vector<int64_t>();
  for (int64_t row = 0; row < 3; ++row) {
    const int64_t length = lengths.data<int64_t>()[row];
    const auto begin = words.begin() + row * 4;
    const Tensor alone = Tensor::from(std::vector<int64_t>(begin, begin + length), {1, length});
    std::vector<int64_t> text = beam_search(*model, alone, {}, options).to_vector<int64_t>();
    text.resize(static_cast<size_t>(together.size(1)), kEnd);
    const auto own = all.begin() + row * together.size(1);
    EXPECT_EQ(std::vector<int64_t>(own, own + together.size(1)), text) << row;
  }
}

}  // namespace
}  // namespace heed::nn
