#include "optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/tape.h"
#include "core/config.h"
#include "core/parallel.h"
#include "optim/clip.h"
#include "tests/samples.h"

namespace heed::optim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Rule {
  const char* name;
  OptimizerOptions options;
};
void PrintTo(const Rule& rule, std::ostream* out) { *out << rule.name; }

NamedTensors parameters(DType dtype) {
  NamedTensors result = {{"fc.weight", testing::normal({5, 7}, "w", dtype)},
                         {"fc.bias", testing::normal({37}, "b", dtype)},
                         {"head.weight", testing::normal({3, 1}, "h", dtype)}};
  for (auto& [name, tensor] : result) require_grad(tensor);
  return result;
}

void give_gradients(const NamedTensors& parameters, int64_t step) {
  for (const auto& [name, tensor] : parameters) {
    const std::string key = name + std::to_string(step);
    set_grad(tensor, testing::normal(tensor.shape(), key, tensor.dtype()));
  }
}

// One element's update as the papers have it, in f64.
struct Reference {
  OptimizerOptions o;
  double weight_decay;
  double m = 0, v = 0, b = 0;

  double step(double p, double g, double lr, int t) {
    if (o.type != "adamw") g += weight_decay * p;
    if (o.type == "sgd") {
      b = o.momentum * b + g;
      return p - lr * (o.nesterov ? g + o.momentum * b : b);
    }
    if (o.type == "adamw") p -= lr * weight_decay * p;
    m = o.betas[0] * m + (1 - o.betas[0]) * g;
    v = o.betas[1] * v + (1 - o.betas[1]) * g * g;
    const double m_hat = m / (1 - std::pow(o.betas[0], t));
    const double v_hat = v / (1 - std::pow(o.betas[1], t));
    return p - lr * m_hat / (std::sqrt(v_hat) + o.eps);
  }
};

class UpdateRule : public ::testing::TestWithParam<Rule> {};
INSTANTIATE_TEST_SUITE_P(
    All, UpdateRule,
    ::testing::Values(
        Rule{"adamw", {.type = "adamw", .weight_decay = 0.1}},
        Rule{"adamw_betas",
             {.betas = {0.5, 0.9}, .eps = 1e-4, .weight_decay = 0.01, .decay_1d = true}},
        Rule{"adam", {.type = "adam", .weight_decay = 0.1}},
        Rule{"sgd", {.type = "sgd", .weight_decay = 0.1}},
        Rule{"momentum", {.type = "sgd", .weight_decay = 0.1, .momentum = 0.9}},
        Rule{"nesterov", {.type = "sgd", .weight_decay = 0, .momentum = 0.9, .nesterov = true}}),
    [](const auto& rule) { return rule.param.name; });

TEST_P(UpdateRule, EqualsTheFormulaOverSeveralSteps) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const NamedTensors ours = parameters(dtype);
    const auto optimizer = make_optimizer(GetParam().options, ours);
    std::vector<std::vector<double>> expected;
    std::vector<std::vector<Reference>> rules;
    for (const auto& [name, tensor] : ours) {
      expected.push_back(tensor.to_vector<double>());
      const bool decays = GetParam().options.decay_1d || tensor.rank() >= 2;
      rules.emplace_back(
          expected.back().size(),
          Reference{GetParam().options, decays ? *GetParam().options.weight_decay : 0.0});
    }
    const int steps = 6;
    for (int t = 1; t <= steps; ++t) {
      const double lr = 0.01 * t, grad_scale = t == 3 ? 0.5 : 1.0;
      give_gradients(ours, t);
      for (size_t i = 0; i < ours.size(); ++i) {
        const auto g = grad(ours[i].second).to_vector<double>();
        for (size_t e = 0; e < g.size(); ++e) {
          expected[i][e] = rules[i][e].step(expected[i][e], grad_scale * g[e], lr, t);
        }
      }
      optimizer->step(lr, grad_scale);
    }
    EXPECT_EQ(optimizer->steps_done(), steps);
    for (size_t i = 0; i < ours.size(); ++i) {
      const auto values = ours[i].second.to_vector<double>();
      for (size_t e = 0; e < values.size(); ++e) {
        // A dozen roundings a step of values of at most 8 (Adam's m / sqrt(v) is at most
        // about 1 / sqrt(1 - beta2), times lr; SGD's direction at most 10 gradients of 4).
        const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
        ASSERT_NEAR(values[e], expected[i][e], steps * 12 * 8 * u) << ours[i].first << " " << e;
      }
    }
  }
}

TEST_P(UpdateRule, GoesOnExactlyFromItsState) {
  const NamedTensors whole = parameters(DType::f32), cut = parameters(DType::f32);
  const auto one = make_optimizer(GetParam().options, whole);
  auto two = make_optimizer(GetParam().options, cut);
  for (int64_t t = 0; t < 6; ++t) {
    if (t == 3) {
      NamedTensors saved;
      for (const auto& [name, tensor] : two->state_tensors()) {
        saved.emplace_back(name, tensor.dtype() == DType::i64
                                     ? Tensor::from(tensor.to_vector<int64_t>(), tensor.shape())
                                     : Tensor::from(tensor.to_vector<float>(), tensor.shape()));
      }
      two = make_optimizer(GetParam().options, cut);
      two->load_state(saved);
    }
    give_gradients(whole, t);
    give_gradients(cut, t);
    one->step(0.01);
    two->step(0.01);
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].second.to_vector<float>(), cut[i].second.to_vector<float>());
  }
}

// Four steps of torch.optim (2.13, f64) from the same numbers.
TEST(Optimizer, EqualsPyTorch) {
  const std::vector<std::pair<OptimizerOptions, std::vector<double>>> cases = {
      {{.type = "adamw", .weight_decay = 0.1},
       {0.45922590921941847, -1.2050674570082522, 1.9625284554163531, -0.005987622805430873}},
      {{.type = "adam", .betas = {0.8, 0.95}, .weight_decay = 0.1},
       {0.4600934566061191, -1.2100114428222877, 1.9699726453109974, -0.004695035181797765}},
      {{.type = "sgd", .weight_decay = 0.1, .momentum = 0.9, .nesterov = true},
       {0.4672937872980981, -1.210643098340379, 1.8789989388941062, -2.6651304754267903e-10}}};
  for (const auto& [options, expected] : cases) {
    Tensor p = Tensor::from<double>({0.5, -1.25, 2.0, 0.0}, {2, 2});
    require_grad(p);
    const auto optimizer = make_optimizer(options, {{"p", p}});
    for (int t = 1; t <= 4; ++t) {
      set_grad(p, Tensor::from<double>({0.1 * t, -0.2, 3.0 - t, 1e-9 * t}, {2, 2}));
      optimizer->step(0.01);
    }
    const auto values = p.to_vector<double>();
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(values[i], expected[i], 1e-14 * std::abs(expected[i])) << options.type << i;
    }
  }
}

// By the paper's formula, in f64: the tensor moves by trust times its own norm.
TEST(Lars, MovesTensorsInProportionToTheirNorm) {
  Tensor w = Tensor::from<double>({3, 0, 0, 4}, {2, 2}), b = Tensor::from<double>({1, 2}, {2});
  require_grad(w);
  require_grad(b);
  const OptimizerOptions options{
      .type = "lars", .weight_decay = 0.5, .momentum = 0.9, .trust = 0.1};
  const auto optimizer = make_optimizer(options, {{"w", w}, {"b", b}});
  std::vector<double> x = {3, 0, 0, 4}, y = {1, 2}, vx(4), vy(2);
  for (int t = 1; t <= 3; ++t) {
    const std::vector<double> gx = {0.5 * t, -1, 2, 0}, gy = {0.25, -1};
    set_grad(w, Tensor::from(gx, {2, 2}));
    set_grad(b, Tensor::from(gy, {2}));
    const double lr = 0.2, scale = t == 2 ? 0.5 : 1.0;
    optimizer->step(lr, scale);
    const auto norm = [](const std::vector<double>& v) {
      double sum = 0;
      for (const double e : v) sum += e * e;
      return std::sqrt(sum);
    };
    const double ratio = 0.1 * norm(x) / (scale * norm(gx) + 0.5 * norm(x));
    for (size_t i = 0; i < 4; ++i) {
      vx[i] = 0.9 * vx[i] + ratio * (scale * gx[i] + 0.5 * x[i]);
      x[i] -= lr * vx[i];
    }
    for (size_t i = 0; i < 2; ++i) {
      vy[i] = 0.9 * vy[i] + scale * gy[i];  // a bias: plain momentum, no decay
      y[i] -= lr * vy[i];
    }
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(w.to_vector<double>()[i], x[i], 1e-14);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(b.to_vector<double>()[i], y[i], 1e-14);
}

TEST(Lars, ZerosMoveByTheGradient) {
  Tensor w = Tensor::zeros({2, 2});
  require_grad(w);
  const auto optimizer = make_optimizer({.type = "lars"}, {{"w", w}});
  set_grad(w, Tensor::full({2, 2}, 2));
  optimizer->step(0.5);
  EXPECT_EQ(w.to_vector<float>(), std::vector<float>(4, -1.f));
}

// Three steps of torch.optim.Adafactor (2.13, f64) from the same numbers.
TEST(Adafactor, EqualsPyTorch) {
  Tensor w = Tensor::from<double>({0.5, -1.25, 2, 0.25, 1, -0.75}, {2, 3}),
         b = Tensor::from<double>({0.5, -2}, {2});
  require_grad(w);
  require_grad(b);
  const OptimizerOptions options{.type = "adafactor", .weight_decay = 0.1, .decay_1d = true};
  const auto optimizer = make_optimizer(options, {{"w", w}, {"b", b}});
  for (int t = 1; t <= 3; ++t) {
    set_grad(w, Tensor::from<double>({0.1 * t, -0.2, 3.0 - t, 0.5, -1, 0.25 * t}, {2, 3}));
    set_grad(b, Tensor::from<double>({0.3, -0.1 * t}, {2}));
    optimizer->step(0.02);
  }
  const std::vector<double> expected_w = {0.4649825299891176, -1.226773684593803,
                                          1.950019146554106,  0.15181265481882078,
                                          1.094017853274395,  -0.779046767976703},
                            expected_b = {0.4181064941036072, -1.896438644497567};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(w.to_vector<double>()[i], expected_w[i], 1e-14);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(b.to_vector<double>()[i], expected_b[i], 1e-14);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer->state_tensors()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("step", "row_mean_sq.w", "col_mean_sq.w", "exp_avg_sq.b"));
}

// Many rows in pieces, in each dtype, on one to three threads.
TEST(Adafactor, NarrowTypesAgreeWithF64OnAnyThreadCount) {
  const auto run = [](DType dtype, int threads) {
    const int before = thread_count();
    set_thread_count(threads);
    Tensor w = testing::normal({301, 7, 11}, "w", DType::f32);
    if (dtype == DType::f64) w = Tensor::from(w.to_vector<double>(), w.shape());
    require_grad(w);
    const auto optimizer = make_optimizer({.type = "adafactor"}, {{"w", w}});
    for (int t = 0; t < 3; ++t) {
      const Tensor g = testing::normal(w.shape(), "g" + std::to_string(t), DType::f32);
      set_grad(w, dtype == DType::f64 ? Tensor::from(g.to_vector<double>(), g.shape()) : g);
      optimizer->step(0.1, 0.5);
    }
    set_thread_count(before);
    return w.to_vector<double>();
  };
  const auto one = run(DType::f32, 1), wide = run(DType::f64, 1);
  EXPECT_EQ(one, run(DType::f32, 2));
  EXPECT_EQ(one, run(DType::f32, 3));
  // three roundings of values below 8, and of moments that move them by less than 1
  for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], wide[i], 3 * 10 * 0x1p-24) << i;
}

// AdaGC's rule for one tensor, over numbers.
struct NormHistory {
  NormBoundOptions o;
  double mean = 0.0;
  double factor(double norm, int64_t step) {  // of the gradient
    if (norm == 0.0) return 1.0;
    double kept = 1.0;
    if (mean == 0.0) {
      mean = norm;
    } else if (step < o.warmup_steps) {
      mean = std::min(mean, norm);
    } else {
      kept = std::min(1.0, o.factor * mean / norm);
      mean = o.decay * mean + (1.0 - o.decay) * kept * norm;
    }
    return kept;
  }
};

TEST(NormBound, ClipsEachTensorByItsOwnPast) {
  const NormBoundOptions bound{.factor = 1.1, .decay = 0.8, .warmup_steps = 3};
  const NamedTensors ours = parameters(DType::f64);
  const auto optimizer = make_optimizer({.type = "sgd", .norm_bound = bound}, ours);
  constexpr double kLr = 0.1, kScale = 0.5;
  std::vector<NormHistory> history(ours.size(), {bound});
  int clipped = 0;
  for (int64_t step = 0; step < 12; ++step) {
    give_gradients(ours, step);
    if (step == 1) set_grad(ours[1].second, Tensor::zeros({37}, DType::f64));  // a silent branch
    if (step == 7) {  // an outlier of one tensor alone
      set_grad(ours[0].second, mul(grad(ours[0].second), 100.0));
    }
    std::vector<std::vector<double>> expected;
    for (size_t i = 0; i < ours.size(); ++i) {
      std::vector<double> values = ours[i].second.to_vector<double>();
      const std::vector<double> g = grad(ours[i].second).to_vector<double>();
      double squares = 0.0;
      for (const double x : g) squares += kScale * x * kScale * x;
      const double kept = history[i].factor(std::sqrt(squares), step);
      clipped += kept < 1.0;
      for (size_t k = 0; k < g.size(); ++k) values[k] -= kLr * kScale * kept * g[k];
      expected.push_back(values);
    }
    optimizer->step(kLr, kScale);
    for (size_t i = 0; i < ours.size(); ++i) {
      const std::vector<double> values = ours[i].second.to_vector<double>();
      for (size_t k = 0; k < values.size(); ++k) {
        EXPECT_NEAR(values[k], expected[i][k], 1e-14 * (1 + std::abs(values[k]))) << step;
      }
    }
  }
  EXPECT_GT(clipped, 1);
}

TEST(NormBound, AZeroGradientAtFirstBoundsNothing) {
  Tensor p = Tensor::from<double>({1, 2}, {2});
  require_grad(p);
  const auto optimizer = make_optimizer(
      {.type = "sgd", .norm_bound = {.factor = 1.05, .warmup_steps = 0}}, {{"p", p}});
  set_grad(p, Tensor::zeros({2}, DType::f64));
  optimizer->step(1.0);
  set_grad(p, Tensor::from<double>({3, 4}, {2}));
  optimizer->step(1.0);
  EXPECT_THAT(p.to_vector<double>(), ElementsAre(-2.0, -2.0));
}

TEST(NormBound, GoesOnExactlyFromItsState) {
  const OptimizerOptions options{.type = "adamw",
                                 .norm_bound = {.factor = 1.05, .warmup_steps = 2}};
  const NamedTensors whole = parameters(DType::f32), cut = parameters(DType::f32);
  const auto one = make_optimizer(options, whole), first = make_optimizer(options, cut);
  const auto step = [](Optimizer& optimizer, const NamedTensors& tensors, int64_t t) {
    give_gradients(tensors, t);
    optimizer.step(0.01);
  };
  for (int64_t t = 0; t < 8; ++t) step(*one, whole, t);
  for (int64_t t = 0; t < 4; ++t) step(*first, cut, t);
  const auto second = make_optimizer(options, cut);
  second->load_state(first->state_tensors());
  for (int64_t t = 4; t < 8; ++t) step(*second, cut, t);
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].second.to_vector<float>(), cut[i].second.to_vector<float>());
  }
  EXPECT_EQ(needs_whole_tensors(options), "optimizer.norm_bound");
  EXPECT_EQ(needs_whole_tensors({}), "");
}

TEST(ClipAdaptive, BoundsEachUnitByItsSize) {
  Tensor w = Tensor::from<float>({3, 4, 0, 0, 30, 40}, {3, 2}),
         b = Tensor::from<float>({3, 4}, {2});
  Tensor untouched = Tensor::zeros({2});
  for (Tensor* t : {&w, &b, &untouched}) require_grad(*t);
  const auto optimizer = make_optimizer(OptimizerOptions{}, {{"w", w}, {"b", b}, {"u", untouched}});
  set_grad(w, Tensor::from<float>({6, 8, 0.3f, 0.4f, 1, 1}, {3, 2}));
  set_grad(b, Tensor::from<float>({0, -8}, {2}));
  clip_adaptive(optimizer->parameters(), 0.5, 0.01);
  const auto g = grad(w).to_vector<float>();
  // rows of norm 5, 0 (taken as 0.01) and 50: gradients of at most 2.5, 0.005 and 25
  const std::vector<float> expected = {1.5f, 2.f, 0.003f, 0.004f, 1, 1};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(g[i], expected[i], 4e-7f * expected[i]);
  EXPECT_EQ(grad(b).to_vector<float>(), (std::vector<float>{0, -2.5f}));
  EXPECT_FALSE(grad(untouched).defined());
  EXPECT_THROW(clip_adaptive(optimizer->parameters(), 0), Error);
}

TEST(Optimizer, StateIsNamedAfterParameters) {
  const NamedTensors ours = parameters(DType::f32);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : make_optimizer(OptimizerOptions{}, ours)->state_tensors()) {
    names.push_back(name);
  }
  EXPECT_THAT(names,
              ElementsAre("step", "exp_avg.fc.weight", "exp_avg.fc.bias", "exp_avg.head.weight",
                          "exp_avg_sq.fc.weight", "exp_avg_sq.fc.bias", "exp_avg_sq.head.weight"));
}

TEST(Optimizer, StateThatDoesNotFitChangesNothing) {
  const NamedTensors ours = parameters(DType::f32);
  const auto optimizer = make_optimizer(OptimizerOptions{}, ours);
  give_gradients(ours, 1);
  optimizer->step(0.1);
  NamedTensors state = {{"step", Tensor::scalar<int64_t>(7)},
                        {"exp_avg.fc.weight", Tensor::zeros({7, 5})},
                        {"exp_avg.other", Tensor::zeros({1})}};
  const auto before = optimizer->state_tensors()[1].second.to_vector<float>();
  try {
    optimizer->load_state(state);
    FAIL() << "the state was taken";
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'exp_avg.fc.weight' is f32[7, 5], needs f32[5, 7]"));
    EXPECT_THAT(error.what(), HasSubstr("'exp_avg_sq.fc.bias' is missing"));
    EXPECT_THAT(error.what(), HasSubstr("'exp_avg.other' is not known"));
  }
  EXPECT_EQ(optimizer->steps_done(), 1);
  EXPECT_EQ(optimizer->state_tensors()[1].second.to_vector<float>(), before);
}

TEST(Optimizer, ParametersWithoutAGradientStay) {
  const NamedTensors ours = parameters(DType::f32);
  const auto optimizer = make_optimizer(OptimizerOptions{}, ours);
  const auto before = ours[1].second.to_vector<float>();
  give_gradients(ours, 1);
  clear_grad(ours[1].second);
  optimizer->step(0.1);
  EXPECT_EQ(ours[1].second.to_vector<float>(), before);
  optimizer->zero_grad();
  for (const auto& [name, tensor] : ours) EXPECT_FALSE(grad(tensor).defined());
}

TEST(Optimizer, GroupsByNameTheFirstMatchHolds) {
  OptimizerOptions options;
  options.weight_decay = 0.1;
  options.groups = {{.pattern = "head.*", .freeze = true},
                    {.pattern = "*.bias", .lr = 2.0, .weight_decay = 0.3, .betas = {0.8, 0.95}},
                    {.pattern = "*", .lr = 0.5}};
  const NamedTensors ours = parameters(DType::f32);
  const auto optimizer = make_optimizer(options, ours);
  ASSERT_EQ(optimizer->parameters().size(), 2u);
  const Parameter &weight = optimizer->parameters()[0], &bias = optimizer->parameters()[1];
  EXPECT_EQ(weight.name, "fc.weight");
  EXPECT_EQ(weight.lr, 0.5);
  EXPECT_EQ(weight.weight_decay, 0.1);
  EXPECT_EQ(bias.lr, 2.0);
  EXPECT_EQ(bias.weight_decay, 0.3);
  EXPECT_EQ(bias.beta1, 0.8);
  EXPECT_EQ(bias.beta2, 0.95);
  EXPECT_FALSE(requires_grad(ours[2].second));
}

TEST(OptimizerOptions, WeightsDecayByDefaultAsInPyTorch) {
  Tensor weight = Tensor::zeros({2, 2});
  require_grad(weight);
  const auto decay_of = [&](const std::string& type) {
    return trained_parameters({.type = type}, {{"weight", weight}})[0].weight_decay;
  };
  EXPECT_EQ(decay_of("adamw"), 0.01);
  for (const char* type : {"adam", "sgd", "lars", "adafactor"})
    EXPECT_EQ(decay_of(type), 0.0) << type;
}

TEST(Optimizer, AGroupWithoutParametersIsAnError) {
  OptimizerOptions options;
  options.groups = {{.pattern = "fc.wieght"}};
  try {
    make_optimizer(options, parameters(DType::f32));
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'fc.weight'?"));
  }
}

// A rank with a part of the parameters: groups that hold for others' alone are left out, whether
// their pattern matches its own (an earlier group holds there) or not; misspelt ones are still
// told.
TEST(Optimizer, GroupsForSomeOfTheParameters) {
  OptimizerOptions options;
  options.groups = {{.pattern = "fc.weight"}, {.pattern = "fc.*"}, {.pattern = "head.*"}};
  const NamedTensors all = parameters(DType::f64), some = {all[0]};
  const auto patterns = [](const OptimizerOptions& own) {
    std::vector<std::string> names;
    for (const ParameterGroup& group : own.groups) names.push_back(group.pattern);
    return names;
  };
  EXPECT_THAT(patterns(options_for(options, some, all)), ElementsAre("fc.weight"));
  EXPECT_THAT(patterns(options_for(options, all, all)), ElementsAre("fc.weight", "fc.*", "head.*"));
  options.groups.push_back({.pattern = "haed.*"});
  EXPECT_THAT(patterns(options_for(options, some, all)), ElementsAre("fc.weight", "haed.*"));
}

TEST(Optimizer, ReadsItsSection) {
  const Config section = parse_yaml(R"(
type: sgd
lr: 0.5
momentum: 0.9
nesterov: true
groups:
  - {pattern: "*.bias", weight_decay: 0, lr: 3}
)",
                                    "recipe.yaml");
  const auto options = read_options<OptimizerOptions>(section, "optimizer", {});
  EXPECT_EQ(options.type, "sgd");
  EXPECT_EQ(options.groups.at(0).weight_decay, 0.0);
  const auto optimizer = make_optimizer(section, parameters(DType::f32));
  EXPECT_EQ(optimizer->parameters()[1].lr, 3.0);
  for (const char* bad : {"type: adamx", "lr: 0", "betas: [0.9]", "betas: [0.9, 1.0]",
                          "nesterov: true", "momentun: 0.9", "groups: [{lr: 1}]"}) {
    EXPECT_THROW(make_optimizer(parse_yaml(bad, "recipe.yaml"), parameters(DType::f32)),
                 RequestError)
        << bad;
  }
}

TEST(Glob, StarsAndQuestionMarks) {
  EXPECT_TRUE(glob_match("blocks.*.bias", "blocks.0.attn.q.bias"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a*b*c", "aXbXbc"));
  EXPECT_TRUE(glob_match("h?ad", "head"));
  EXPECT_FALSE(glob_match("h?ad", "had"));
  EXPECT_FALSE(glob_match("*.bias", "bias"));
  EXPECT_FALSE(glob_match("a*b", "abc"));
  EXPECT_FALSE(glob_match("", "a"));
}

TEST(Clip, NormScaleAndValue) {
  Tensor a = Tensor::zeros({2}), b = Tensor::zeros({40000});
  require_grad(a);
  require_grad(b);
  const auto optimizer = make_optimizer(OptimizerOptions{}, {{"a", a}, {"b", b}});
  EXPECT_EQ(grad_norm(optimizer->parameters()), 0.0);
  set_grad(a, Tensor::from<float>({3, -4}, {2}));
  EXPECT_DOUBLE_EQ(grad_norm(optimizer->parameters()), 5.0);
  set_grad(b, Tensor::full({40000}, 0.5));
  EXPECT_DOUBLE_EQ(grad_norm(optimizer->parameters()), std::sqrt(25.0 + 10000.0));
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(7.0, 0.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 0.25, 1e-6);
  EXPECT_EQ(first_bad_gradient(optimizer->parameters()), "");
  clip_by_value(optimizer->parameters(), 3.5);
  EXPECT_THAT(grad(a).to_vector<float>(), ElementsAre(3, -3.5));
  grad(b).data<float>()[33333] = INFINITY;
  EXPECT_EQ(first_bad_gradient(optimizer->parameters()), "b");
  EXPECT_FALSE(std::isfinite(grad_norm(optimizer->parameters())));
  grad(a).data<float>()[1] = NAN;
  EXPECT_EQ(first_bad_gradient(optimizer->parameters()), "a");
  clip_by_value(optimizer->parameters(), 1.0);
  EXPECT_TRUE(std::isnan(grad(a).data<float>()[1]));
}

TEST(Optimizer, DoesNotDependOnTheThreadCount) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  std::vector<double> norms;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Tensor p = testing::normal({301, 257}, "p", DType::f32);
    require_grad(p);
    const auto optimizer = make_optimizer(OptimizerOptions{}, {{"p", p}});
    set_grad(p, testing::normal(p.shape(), "g", DType::f32));
    norms.push_back(grad_norm(optimizer->parameters()));
    optimizer->step(0.1, clip_scale(norms.back(), 1.0));
    results.push_back(p.to_vector<float>());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
}

TEST(Optimizer, RefusesWhatItCouldNeverTrain) {
  Tensor weight = Tensor::zeros({2, 2});
  require_grad(weight);
  EXPECT_NO_THROW(make_optimizer(OptimizerOptions{}, {{"weight", weight}}));
  for (const Tensor& stray : {weight.detach(), Tensor::zeros({2, 2}), mul(weight, 2.0)}) {
    EXPECT_THAT(
        [&] {
          make_optimizer(OptimizerOptions{}, {{"blocks.0.weight", stray}});
        },
        ::testing::ThrowsMessage<Error>(HasSubstr("'blocks.0.weight'")));
  }
}

}  // namespace
}  // namespace heed::optim
