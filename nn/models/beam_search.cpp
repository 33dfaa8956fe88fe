#include "nn/models/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/layout.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/view.h"

namespace heed::nn {
namespace {

struct Text {
  std::vector<int64_t> ids;
  double log_p = 0.0;
};

/// A text that goes on from beam `beam` by `id`.
struct Step {
  double log_p;
  size_t beam;
  int64_t id;
};

double score(const Text& text, double penalty) {
  return text.log_p / std::pow((5.0 + static_cast<double>(text.ids.size())) / 6.0, penalty);
}

/// The best `count` ways to go on from the texts; logits [beams, vocab].
std::vector<Step> best_steps(const std::vector<Text>& texts, const Tensor& logits, size_t count) {
  const Tensor rows = log_softmax(cast(logits, DType::f32), -1);
  const std::vector<float> log_p = rows.to_vector<float>();
  const auto vocab = static_cast<size_t>(logits.size(1));
  std::vector<Step> steps;
  steps.reserve(texts.size() * vocab);
  for (size_t beam = 0; beam < texts.size(); ++beam) {
    for (size_t id = 0; id < vocab; ++id) {
      steps.push_back(
          {texts[beam].log_p + log_p[beam * vocab + id], beam, static_cast<int64_t>(id)});
    }
  }
  count = std::min(count, steps.size());
  const auto better = [](const Step& a, const Step& b) {
    if (a.log_p != b.log_p) return a.log_p > b.log_p;
    return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
  };
  std::partial_sort(steps.begin(), steps.begin() + static_cast<int64_t>(count), steps.end(),
                    better);
  steps.resize(count);
  return steps;
}

/// The best text for one source [1, N].
std::vector<int64_t> search_row(EncoderDecoder& model, const Tensor& ids, const Tensor& lengths,
                                const BeamOptions& o) {
  const auto beams = static_cast<size_t>(o.beams);
  const Tensor sources = repeat(ids, {o.beams, 1});
  const Tensor sizes = lengths.defined() ? repeat(lengths, {o.beams}) : Tensor();
  const std::unique_ptr<DecodeState> state = model.start(sources, sizes);
  std::vector<Text> texts = {Text{}};  // all beams are the same at first
  Tensor last = Tensor::full({o.beams, 1}, static_cast<double>(model.options().start), DType::i64);
  Text best;
  double best_score = -std::numeric_limits<double>::infinity();
  const auto finish = [&](Text text) {
    const double own = score(text, o.length_penalty);
    if (own <= best_score) return;
    best_score = own;
    best = std::move(text);
  };
  for (int64_t t = 0; t < o.tokens && !texts.empty(); ++t) {
    const Tensor logits = model.decode(last, *state);
    std::vector<Text> longer;
    std::vector<int64_t> from, next;
    // Each text may end only once, so twice as many steps leave `beams` that go on.
    for (const Step& step : best_steps(texts, logits, 2 * beams)) {
      if (longer.size() == beams) break;
      Text text = texts[step.beam];
      text.ids.push_back(step.id);
      text.log_p = step.log_p;
      if (step.id == o.end || t + 1 == o.tokens) {
        finish(std::move(text));
        continue;
      }
      longer.push_back(std::move(text));
      from.push_back(static_cast<int64_t>(step.beam));
      next.push_back(step.id);
    }
    // A text's log p only falls: none that goes on may still win once its bound has lost.
    const double most = std::pow((5.0 + static_cast<double>(o.tokens)) / 6.0, o.length_penalty);
    if (!longer.empty() && longer[0].log_p / most <= best_score) break;
    texts = std::move(longer);
    from.resize(beams, 0);
    next.resize(beams, 0);
    if (texts.empty()) break;
    model.reorder(*state, Tensor::from(from, {o.beams}));
    last = Tensor::from(next, {o.beams, 1});
  }
  return best.ids;
}

}  // namespace

Tensor beam_search(EncoderDecoder& model, const Tensor& ids, const Tensor& lengths,
                   const BeamOptions& o) {
  HEED_CHECK(o.beams > 0 && o.tokens > 0, "beam search: wants beams and tokens, got {} and {}",
             o.beams, o.tokens);
  const NoGrad no_grad;
  std::vector<std::vector<int64_t>> rows;
  size_t longest = 1;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const Tensor own = lengths.defined() ? slice(lengths, 0, row, row + 1) : Tensor();
    rows.push_back(search_row(model, slice(ids, 0, row, row + 1), own, o));
    longest = std::max(longest, rows.back().size());
  }
  std::vector<int64_t> all;
  for (std::vector<int64_t>& row : rows) {
    row.resize(longest, o.end);
    all.insert(all.end(), row.begin(), row.end());
  }
  return Tensor::from(all, {std::ssize(rows), static_cast<int64_t>(longest)});
}

}  // namespace heed::nn
