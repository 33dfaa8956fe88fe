#include "autograd/score_tensors.h"

#include "kernels/copy/copy.h"

namespace heed {

std::array<Tensor*, kScoreTensors> score_tensors(AttentionScore& s) {
  auto& relative = s.relative_logits;
  return {&s.query_temperature, &s.key_temperature, &s.bias, &s.table, &s.sink, &relative[0].logits,
          &relative[1].logits,  &relative[2].logits};
}

SavedSpec::SavedSpec(AttentionSpec spec) : spec_(std::move(spec)) {
  const auto tensors = score_tensors(spec_.score);
  for (size_t t = 0; t < kScoreTensors; ++t) {
    if (!tensors[t]->defined()) continue;
    saved_[t] = save(*tensors[t]);
    *tensors[t] = Tensor();
  }
}

AttentionSpec SavedSpec::restore() const {
  AttentionSpec spec = spec_;
  const auto tensors = score_tensors(spec.score);
  for (size_t t = 0; t < kScoreTensors; ++t)
    if (saved_[t].defined()) *tensors[t] = *saved_[t];
  return spec;
}

std::vector<Tensor> with_score(std::vector<Tensor> inputs, AttentionScore score) {
  for (const Tensor* t : score_tensors(score))
    if (t->defined()) inputs.push_back(*t);
  return inputs;
}

kernels::ScoreWants score_wants(AttentionScore score, const Wanted& wanted, int first) {
  kernels::ScoreWants wants;
  auto& relative = wants.relative_logits;
  const std::array<bool*, kScoreTensors> flags = {&wants.query_temperature,
                                                  &wants.key_temperature,
                                                  &wants.bias,
                                                  &wants.table,
                                                  &wants.sink,
                                                  &relative[0],
                                                  &relative[1],
                                                  &relative[2]};
  const auto tensors = score_tensors(score);
  for (size_t t = 0; t < kScoreTensors; ++t)
    if (tensors[t]->defined()) *flags[t] = wanted[first++];
  return wants;
}

void append_score(Gradients& to, const kernels::AttentionGradients& g, AttentionScore score) {
  const auto& relative = g.relative_logits;
  const std::array<const Tensor*, kScoreTensors> grads = {
      &g.query_temperature, &g.key_temperature, &g.bias,     &g.table, &g.sink,
      &relative[0],         &relative[1],       &relative[2]};
  const auto tensors = score_tensors(score);
  for (size_t t = 0; t < kScoreTensors; ++t) {
    if (!tensors[t]->defined()) continue;
    to.push_back(grads[t]->defined() ? kernels::cast(*grads[t], tensors[t]->dtype()) : Tensor());
  }
}

}  // namespace heed
