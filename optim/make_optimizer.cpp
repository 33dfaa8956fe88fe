// Options, parameter groups, and the optimisers.
#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "kernels/optim/adafactor.h"
#include "kernels/optim/adam.h"
#include "kernels/optim/lists.h"
#include "kernels/optim/sgd.h"
#include "optim/optimizer.h"

namespace heed::optim {
namespace {

class Adam : public Optimizer {
 public:
  Adam(const OptimizerOptions& options, std::vector<Parameter> parameters)
      : Optimizer(std::move(parameters)),
        decay_(options.type == "adam" ? kernels::Decay::coupled : kernels::Decay::decoupled),
        eps_(options.eps) {
    add_state("exp_avg");
    add_state("exp_avg_sq");
  }

 protected:
  void update(const std::vector<size_t>& active, const std::vector<Tensor>& gradients, double lr,
              double grad_scale, int64_t t) override {
    std::vector<kernels::AdamUpdate> updates;
    for (size_t i = 0; i < active.size(); ++i) {
      const Parameter& p = parameters()[active[i]];
      updates.push_back({p.tensor, gradients[i], state(0, active[i]), state(1, active[i]),
                         lr * p.lr, p.beta1, p.beta2, eps_, p.weight_decay});
    }
    kernels::adam(updates, decay_, t, grad_scale);
  }

 private:
  kernels::Decay decay_;
  double eps_;
};

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, std::vector<Parameter> parameters)
      : Optimizer(std::move(parameters)),
        momentum_(options.momentum),
        nesterov_(options.nesterov),
        trust_(options.type == "lars" ? options.trust : 0.0) {
    if (momentum_ != 0) add_state("momentum_buffer");
  }

 protected:
  void update(const std::vector<size_t>& active, const std::vector<Tensor>& gradients, double lr,
              double grad_scale, int64_t) override {
    std::vector<kernels::SgdUpdate> updates;
    for (size_t i = 0; i < active.size(); ++i) {
      const Parameter& p = parameters()[active[i]];
      updates.push_back({p.tensor, gradients[i], momentum_ != 0 ? state(0, active[i]) : Tensor(),
                         lr * p.lr, momentum_, p.weight_decay,
                         trust_ratio(p, gradients[i], grad_scale)});
    }
    kernels::sgd(updates, nesterov_, grad_scale);
  }

 private:
  // LARS (You et al. 2017): trust |p| / (|g| + weight_decay |p|), so that each tensor moves in
  // proportion to its own size; 1 for biases and norms, and where either norm is 0.
  double trust_ratio(const Parameter& p, const Tensor& gradient, double grad_scale) const {
    if (trust_ == 0 || p.tensor.rank() < 2) return 1;
    const double size = kernels::global_norm(std::span(&p.tensor, 1));
    const double slope = std::abs(grad_scale) * kernels::global_norm(std::span(&gradient, 1));
    return size > 0 && slope > 0 ? trust_ * size / (slope + p.weight_decay * size) : 1;
  }

  double momentum_;
  bool nesterov_;
  double trust_;  // 0: plain SGD
};

class Adafactor : public Optimizer {
 public:
  explicit Adafactor(std::vector<Parameter> parameters) : Optimizer(std::move(parameters)) {
    using MaybeShape = std::optional<Shape>;
    add_state("row_mean_sq", [](const Tensor& p) {
      return p.rank() >= 2 ? MaybeShape(Shape{p.size(0)}) : std::nullopt;
    });
    add_state("col_mean_sq", [](const Tensor& p) {
      return p.rank() >= 2 ? MaybeShape(Shape{p.numel() / std::max<int64_t>(1, p.size(0))})
                           : std::nullopt;
    });
    add_state("exp_avg_sq",
              [](const Tensor& p) { return p.rank() < 2 ? MaybeShape(p.shape()) : std::nullopt; });
  }

 protected:
  void update(const std::vector<size_t>& active, const std::vector<Tensor>& gradients, double lr,
              double grad_scale, int64_t t) override {
    for (size_t i = 0; i < active.size(); ++i) {
      const Parameter& p = parameters()[active[i]];
      kernels::adafactor({p.tensor, gradients[i], state(0, active[i]), state(1, active[i]),
                          state(2, active[i]), lr * p.lr, p.weight_decay},
                         t, grad_scale);
    }
  }
};

// Which group holds for a parameter: the first that matches; their number for none.
size_t group_of(const std::vector<ParameterGroup>& groups, const std::string& name) {
  const auto match = [&](const ParameterGroup& group) { return glob_match(group.pattern, name); };
  return static_cast<size_t>(std::find_if(groups.begin(), groups.end(), match) - groups.begin());
}

void check_betas(Options& o, const std::vector<double>& betas, bool may_be_empty) {
  const auto inside = [](double b) { return b >= 0 && b < 1; };
  const bool holds = (may_be_empty && betas.empty()) ||
                     (betas.size() == 2 && inside(betas[0]) && inside(betas[1]));
  o.check(holds, "betas", "betas must be two numbers in [0, 1)");
}

}  // namespace

void ParameterGroup::options(Options& o) {
  o.field("pattern", pattern, "glob over parameter names: * any run of characters, ? one",
          {.required = true});
  o.field("lr", lr, "multiplies the learning rate", {.min = 0});
  o.field("weight_decay", weight_decay, "in place of the optimizer's", {.min = 0});
  o.field("betas", betas, "in place of the optimizer's");
  o.field("freeze", freeze, "leave these parameters as they are");
  check_betas(o, betas, true);
}

void NormBoundOptions::options(Options& o) {
  o.field(
      "factor", factor,
      "largest norm of a parameter's gradient, in units of the mean of its norms so far (1.05); "
      "0: any",
      {.min = 0});
  o.field("decay", decay, "share of that mean that stays at each step", {.min = 0, .below = 1});
  o.field("warmup_steps", warmup_steps,
          "steps at first in which nothing is bounded and the smallest norm is kept", {.min = 0});
}

void OptimizerOptions::options(Options& o) {
  o.field("type", type, "update rule", {.one_of = {"adamw", "adam", "sgd", "lars", "adafactor"}});
  o.field("lr", lr, "peak learning rate of the schedule", {.above = 0});
  o.field("betas", betas, "adam, adamw: decay of the first and second moments");
  o.field("eps", eps, "adam, adamw: added to the root of the second moment", {.above = 0});
  o.field("weight_decay", weight_decay,
          "decoupled (adamw, adafactor), or added to the gradient (adam, sgd, lars) times the "
          "parameter; none: 0.01 of adamw, 0 of the others",
          {.min = 0});
  o.field("momentum", momentum, "sgd, lars: share of the last direction that stays",
          {.min = 0, .below = 1});
  o.field("nesterov", nesterov, "sgd, lars: look ahead along the momentum");
  o.field("trust", trust, "lars: share of a tensor's norm that a step of rate 1 moves",
          {.above = 0});
  o.field("decay_1d", decay_1d, "decay tensors with fewer than two dimensions (biases, norms) too");
  o.field("norm_bound", norm_bound,
          "clips each parameter's gradient by its own past norms (AdaGC, arXiv 2502.11034)");
  o.list("groups", groups, "settings of parameters by name; the first pattern that matches holds");
  check_betas(o, betas, false);
  o.check(!nesterov || momentum > 0, "nesterov", "nesterov needs a momentum");
}

std::vector<Parameter> trained_parameters(const OptimizerOptions& options,
                                          const NamedTensors& parameters) {
  std::vector<Parameter> result;
  const double decay = options.weight_decay.value_or(options.type == "adamw" ? 0.01 : 0.0);
  std::vector<bool> used(options.groups.size());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : parameters) {
    HEED_CHECK(
        requires_grad(tensor) && !has_history(tensor),
        "optimizer: '{}' is no leaf that wants a gradient, so it would never be trained (give "
        "nn::trained_tensors, not a state_dict)",
        name);
    names.push_back(name);
    Parameter p{name, tensor};
    const bool decays = options.decay_1d || tensor.rank() >= 2;
    p.weight_decay = decays ? decay : 0.0;
    p.beta1 = options.betas.at(0);
    p.beta2 = options.betas.at(1);
    bool frozen = false;
    const size_t g = group_of(options.groups, name);
    if (g < options.groups.size()) {
      const ParameterGroup& group = options.groups[g];
      used[g] = true;
      p.lr = group.lr;
      p.weight_decay = group.weight_decay.value_or(p.weight_decay);
      if (!group.betas.empty()) {
        p.beta1 = group.betas.at(0);
        p.beta2 = group.betas.at(1);
      }
      frozen = group.freeze;
    }
    if (frozen) {
      require_grad(p.tensor, false);
    } else {
      result.push_back(std::move(p));
    }
  }
  for (size_t g = 0; g < used.size(); ++g) {
    if (!used[g]) {
      fail_request("optimizer: no parameter is left for the group '{}'{}",
                   options.groups[g].pattern, did_you_mean(options.groups[g].pattern, names));
    }
  }
  return result;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          const NamedTensors& parameters) {
  return make_optimizer_of(options, trained_parameters(options, parameters));
}

std::string needs_whole_tensors(const OptimizerOptions& options) {
  if (options.type == "lars" || options.type == "adafactor") {
    return "optimizer.type: " + options.type;
  }
  return options.norm_bound.factor > 0 ? "optimizer.norm_bound" : "";
}

namespace {

std::unique_ptr<Optimizer> with_rule(const OptimizerOptions& options,
                                     std::vector<Parameter> trained) {
  if (options.type == "sgd" || options.type == "lars")
    return std::make_unique<Sgd>(options, std::move(trained));
  if (options.type == "adam" || options.type == "adamw") {
    return std::make_unique<Adam>(options, std::move(trained));
  }
  if (options.type == "adafactor") return std::make_unique<Adafactor>(std::move(trained));
  fail_request("optimizer: unknown type '{}'{}", options.type,
               did_you_mean(options.type,
                            std::vector<std::string>{"adamw", "adam", "sgd", "lars", "adafactor"}));
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer_of(const OptimizerOptions& options,
                                             std::vector<Parameter> trained) {
  std::unique_ptr<Optimizer> optimizer = with_rule(options, std::move(trained));
  if (options.norm_bound.factor > 0) optimizer->bound_norms(options.norm_bound);
  return optimizer;
}

OptimizerOptions options_for(const OptimizerOptions& options, const NamedTensors& some,
                             const NamedTensors& all) {
  const auto used_by = [&](const NamedTensors& parameters) {
    std::vector<bool> used(options.groups.size() + 1);
    for (const auto& [name, tensor] : parameters) used[group_of(options.groups, name)] = true;
    return used;
  };
  const std::vector<bool> by_all = used_by(all), by_some = used_by(some);
  OptimizerOptions own = options;
  own.groups.clear();
  for (size_t g = 0; g < options.groups.size(); ++g) {
    if (by_some[g] || !by_all[g]) own.groups.push_back(options.groups[g]);
  }
  return own;
}

std::unique_ptr<Optimizer> make_optimizer(const Config& options, const NamedTensors& parameters) {
  return make_optimizer(options.is_null()
                            ? OptimizerOptions{}
                            : read_options<OptimizerOptions>(options, "optimizer", {}),
                        parameters);
}

bool glob_match(const std::string& pattern, const std::string& name) {
  // The last * seen may take one more character whenever a later match fails.
  size_t p = 0, n = 0, star = std::string::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace heed::optim
