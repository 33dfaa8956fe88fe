#include "nn/models/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/sort.h"
#include "autograd/ops/view.h"

namespace heed::nn {
namespace {

struct Text {
  std::vector<int64_t> ids;
  double log_p = 0.0;
};

double score(const Text& text, double penalty) {
  return text.log_p / std::pow((5.0 + static_cast<double>(text.ids.size())) / 6.0, penalty);
}

/// The best `count` ways to go on from the texts, best first, as beam * ids + id, with their log p;
/// logits [beams, ids], of which the texts have the first rows.
std::pair<std::vector<int64_t>, std::vector<double>> best_steps(const std::vector<Text>& texts,
                                                                const Tensor& logits,
                                                                int64_t count) {
  std::vector<double> before;
  for (const Text& text : texts) before.push_back(text.log_p);
  const int64_t rows = std::ssize(texts);
  const Tensor own = slice(logits, 0, 0, rows);
  const Tensor log_p = add(cast(log_softmax(cast(own, DType::f32), -1), DType::f64),
                           Tensor::from(before, {rows, 1}));
  const auto [values, places] = topk(reshape(log_p, {-1}), std::min(count, log_p.numel()));
  return {places.to_vector<int64_t>(), values.to_vector<double>()};
}

/// The best text for one source [1, N].
std::vector<int64_t> search_row(EncoderDecoder& model, const Tensor& ids, const Tensor& lengths,
                                const BeamOptions& o) {
  const auto beams = static_cast<size_t>(o.beams);
  const int64_t known = o.ids > 0 ? o.ids : model.options().vocab;
  const std::unique_ptr<DecodeState> state = model.start(ids, lengths, o.beams);
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
    const Tensor logits = slice(model.decode(last, *state), 1, 0, known);
    std::vector<Text> longer;
    std::vector<int64_t> from, next;
    // Each text may end only once, so twice as many steps leave `beams` that go on.
    const auto [places, log_p] = best_steps(texts, logits, 2 * o.beams);
    for (size_t i = 0; i < places.size() && longer.size() < beams; ++i) {
      const int64_t beam = places[i] / known, id = places[i] % known;
      Text text = texts[static_cast<size_t>(beam)];
      text.ids.push_back(id);
      text.log_p = log_p[i];
      if (id == o.end || t + 1 == o.tokens) {
        finish(std::move(text));
        continue;
      }
      longer.push_back(std::move(text));
      from.push_back(beam);
      next.push_back(id);
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
  HEED_CHECK(o.ids >= 0 && o.ids <= model.options().vocab,
             "beam search: {} ids may be written of {}", o.ids, model.options().vocab);
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
