#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace heed::optim {
namespace {

// From 1 at progress 0 to 0 at progress 1.
double remaining(const std::string& shape, double progress) {
  if (shape == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  if (shape == "sqrt") return 1.0 - std::sqrt(progress);
  return 1.0 - progress;
}

}  // namespace

void ScheduleOptions::options(Options& o) {
  o.field("type", type, "shape of the learning rate over the steps",
          {.one_of = {"constant", "linear", "cosine", "polynomial", "wsd", "rsqrt", "step"}});
  o.field("warmup_steps", warmup_steps, "steps over which the rate rises to its peak", {.min = 0});
  o.field("min_lr", min_lr,
          "the rate at the end (linear, cosine, polynomial, wsd) or at least (rsqrt)", {.min = 0});
  o.field("hold_steps", hold_steps,
          "rsqrt: the step at which the decay begins; 0: where the warm-up ends", {.min = 0});
  o.field("decay_steps", decay_steps, "wsd: length of the decay; 0 means a fifth of the run",
          {.min = 0});
  o.field("decay_shape", decay_shape, "wsd: shape of the decay",
          {.one_of = {"linear", "cosine", "sqrt"}});
  o.field("milestones", milestones, "step: the steps at which the rate drops");
  o.field("gamma", gamma, "step: what the rate is multiplied by at a milestone", {.above = 0});
  o.field("power", power, "polynomial: exponent of what remains of the run", {.above = 0});
  o.check(std::is_sorted(milestones.begin(), milestones.end()), "milestones",
          "milestones must ascend");
  o.check(hold_steps == 0 || (type == "rsqrt" && hold_steps > warmup_steps), "hold_steps",
          "hold_steps are for an rsqrt schedule, and must be more than warmup_steps");
  o.check(type != "step" || !milestones.empty(), "milestones", "a step schedule needs milestones");
}

Schedule::Schedule(const ScheduleOptions& options, double peak, int64_t total_steps)
    : options_(options), peak_(peak), total_(total_steps) {
  if (options_.type == "wsd" && options_.decay_steps == 0) options_.decay_steps = total_ / 5;
  const auto fits = [](bool holds, const std::string& message) {
    if (!holds) fail_request("schedule: {}", message);
  };
  fits(options_.min_lr <= peak,
       fmt::format("min_lr {} is above the peak lr {}", options_.min_lr, peak));
  const bool to_end =
      options_.type == "linear" || options_.type == "cosine" || options_.type == "polynomial";
  fits(!to_end || total_ == 0 || options_.warmup_steps < total_,
       fmt::format("{} warm-up steps leave nothing of {}", options_.warmup_steps, total_));
  fits(options_.type != "wsd" || options_.warmup_steps + options_.decay_steps <= total_,
       fmt::format("{} warm-up and {} decay steps do not fit into {}", options_.warmup_steps,
                   options_.decay_steps, total_));
}

double Schedule::lr_at(int64_t s) const {
  const auto& o = options_;
  if (s < o.warmup_steps) {
    return peak_ * static_cast<double>(s + 1) / static_cast<double>(o.warmup_steps + 1);
  }
  const auto decayed = [&](const std::string& shape, int64_t from, int64_t to) {
    const double progress =
        to <= from
            ? 1.0
            : std::clamp(static_cast<double>(s - from) / static_cast<double>(to - from), 0.0, 1.0);
    return o.min_lr + (peak_ - o.min_lr) * remaining(shape, progress);
  };
  if (o.type == "linear" || o.type == "cosine") return decayed(o.type, o.warmup_steps, total_);
  if (o.type == "polynomial") {
    const double rest = decayed("linear", o.warmup_steps, total_) - o.min_lr;
    const double range = peak_ - o.min_lr;
    return range > 0 ? o.min_lr + range * std::pow(rest / range, o.power) : peak_;
  }
  if (o.type == "wsd") {
    const int64_t from = total_ - o.decay_steps;
    return s < from ? peak_ : decayed(o.decay_shape, from, total_);
  }
  if (o.type == "rsqrt") {
    const double ratio =
        o.hold_steps > 0
            ? static_cast<double>(o.hold_steps) / static_cast<double>(std::max(s, o.hold_steps))
            : static_cast<double>(o.warmup_steps + 1) / static_cast<double>(s + 1);
    return std::max(o.min_lr, peak_ * std::sqrt(ratio));
  }
  if (o.type == "step") {
    const auto passed = std::upper_bound(o.milestones.begin(), o.milestones.end(), s);
    return peak_ * std::pow(o.gamma, static_cast<double>(passed - o.milestones.begin()));
  }
  return peak_;
}

}  // namespace heed::optim
