// Optimisers over named parameters: SGD, LARS, Adam, AdamW, Adafactor, with groups by name pattern.
//
//   auto optimizer = make_optimizer(options, nn::trained_tensors(module));   // {name, tensor}
//   optimizer->zero_grad();
//   backward(loss);
//   const double norm = grad_norm(optimizer->parameters());   // optim/clip.h
//   optimizer->step(schedule.lr_at(step), clip_scale(norm, 1.0));
//
// Parameters are f32 master weights (f64 and bf16 work too); moments are f32 (f64 for f64).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/options.h"
#include "core/tensor.h"

namespace heed::optim {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// What differs for the parameters whose names match `pattern`. The first group that matches wins.
struct ParameterGroup {
  std::string
      pattern;      ///< a glob over the whole name: * any run, ? one character ("blocks.*.bias")
  double lr = 1.0;  ///< multiplies the schedule's learning rate
  std::optional<double> weight_decay;
  std::vector<double> betas;  ///< two, or none for the optimiser's
  bool freeze = false;        ///< leave them as they are; their gradients are not wanted any more
  void options(Options& o);
};

/// Clipping of each parameter's gradient by its own history (AdaGC, Wang et al., arXiv 2502.11034):
/// with n the norm of parameter i's gradient at a step and c_i the running mean of its norms,
///   steps below warmup_steps  c_i = min(c_i, n)
///   later                     h = min(1, factor c_i / n);  gradient *= h;
///                             c_i = decay c_i + (1 - decay) h n
/// A norm of 0 (a branch that starts at 0) says nothing: c_i stays, and bounds nothing until there
/// is one. `train.clip` applies beside it, in all steps; the paper has it, at 1, in the first
/// alone.
struct NormBoundOptions {
  double factor = 0.0;  ///< the paper's lambda_rel; 0: no such clipping
  double decay = 0.98;
  int64_t warmup_steps = 100;
  void options(Options& o);
};

/// The `optimizer:` section of a recipe. Defaults are PyTorch's, but that tensors with fewer than
/// two dimensions (biases, norms) do not decay.
struct OptimizerOptions {
  std::string type = "adamw";  ///< adamw, adam, sgd, lars, adafactor
  double lr = 1e-3;            ///< the schedule's peak
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  std::optional<double> weight_decay;  ///< none: 0.01 of adamw, 0 of the others
  double momentum = 0.0;               ///< sgd, lars
  bool nesterov = false;               ///< sgd, lars
  double trust = 1e-3;    ///< lars: share of a tensor's norm that a step of rate 1 moves
  bool decay_1d = false;  ///< decay tensors with fewer than two dimensions too
  NormBoundOptions norm_bound;
  std::vector<ParameterGroup> groups;
  void options(Options& o);
};

/// One parameter with the settings that hold for it.
struct Parameter {
  std::string name;
  Tensor tensor;
  double lr = 1.0;  ///< multiplies the schedule's
  double weight_decay = 0.0;
  double beta1 = 0.9, beta2 = 0.999;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One step with the gradients accumulated in the parameters, each times `grad_scale` (clipping:
  /// see optim/clip.h). `lr` is the schedule's. Parameters without a gradient stay as they are,
  /// their moments too.
  void step(double lr, double grad_scale = 1.0);

  /// From now on bounds gradients as the options say. Before the first step.
  void bound_norms(const NormBoundOptions& options);

  /// Forgets the gradients of the parameters.
  void zero_grad();

  /// Those that are trained, in the order given; frozen ones are left out.
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// Steps done.
  int64_t steps_done() const { return steps_; }

  /// What a checkpoint must hold: "step" (i64 []) and, for each parameter, "exp_avg.<name>" and
  /// "exp_avg_sq.<name>" (Adam), "row_mean_sq.<name>" and "col_mean_sq.<name>" (Adafactor) or
  /// "momentum_buffer.<name>" (SGD and LARS with momentum); with bound norms "grad_norm.<name>"
  /// ([]). The tensors share memory with the optimiser.
  NamedTensors state_tensors() const;
  /// Copies such tensors back. Missing or unexpected names, other shapes or dtypes: a RequestError
  /// that lists them, and nothing is changed.
  void load_state(const NamedTensors& state);
  int64_t state_bytes() const;
  /// "exp_avg", ...: what goes before the parameters' names there.
  const std::vector<std::string>& state_names() const { return state_names_; }

 protected:
  explicit Optimizer(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {}

  /// Adds a state tensor of zeros for every parameter: of its shape, or of the one that `shape_of`
  /// gives (none where it gives nothing).
  void add_state(const std::string& name);
  void add_state(const std::string& name,
                 const std::function<std::optional<Shape>(const Tensor&)>& shape_of);
  const Tensor& state(size_t name, size_t parameter) const { return state_[name][parameter]; }

  /// Updates parameters `active` with `gradients`; `t` counts from 1.
  virtual void update(const std::vector<size_t>& active, const std::vector<Tensor>& gradients,
                      double lr, double grad_scale, int64_t t) = 0;

 private:
  /// Scales each gradient down in place to what its norms so far allow, and takes its norm into
  /// them; norms are those of `grad_scale` times the gradient.
  void apply_norm_bounds(const std::vector<size_t>& active, const std::vector<Tensor>& gradients,
                         double grad_scale);

  std::vector<Parameter> parameters_;
  NormBoundOptions norm_bound_;
  std::vector<std::string> state_names_;
  std::vector<std::vector<Tensor>> state_;  // [name][parameter]
  int64_t steps_ = 0;
};

/// The parameters that the options train, each with its group's settings; the tensors of the others
/// want no gradient any more. See make_optimizer.
std::vector<Parameter> trained_parameters(const OptimizerOptions& options,
                                          const NamedTensors& parameters);
/// The options for some of all trained parameters (the others are another rank's): without the
/// groups that hold for others alone.
OptimizerOptions options_for(const OptimizerOptions& options, const NamedTensors& some,
                             const NamedTensors& all);

/// Builds the optimiser that the options name. Parameters are leaves that want gradients; another
/// tensor (a buffer, a detached copy) is an Error naming it, since nothing would train it. A group
/// that matches none of them is a RequestError with the nearest name.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          const NamedTensors& parameters);
/// The same from a recipe's section; null means all defaults.
std::unique_ptr<Optimizer> make_optimizer(const Config& options, const NamedTensors& parameters);
/// The same of parameters whose settings are known: trained_parameters(), or shares of them.
std::unique_ptr<Optimizer> make_optimizer_of(const OptimizerOptions& options,
                                             std::vector<Parameter> trained);
/// Which of the options ("optimizer.type: lars") makes an element's update depend on its tensor's
/// other elements, so that an optimiser of shares would do something else; "" for none.
std::string needs_whole_tensors(const OptimizerOptions& options);

/// Whether `name` matches the glob: * stands for any run of characters, ? for one.
bool glob_match(const std::string& pattern, const std::string& name);

}  // namespace heed::optim
