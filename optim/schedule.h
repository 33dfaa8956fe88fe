// Learning-rate schedules: pure functions of the step, so that a resumed run goes on exactly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"

namespace heed::optim {

/// The `schedule:` section of a recipe. Step s counts from 0; W is warmup_steps, T the run's steps.
///   warm-up   peak (s + 1) / (W + 1) for s < W: the first step moves, step W has the peak
///   constant  peak
///   linear    from peak at W to min_lr at T
///   cosine    min_lr + (peak - min_lr) (1 + cos(pi (s - W) / (T - W))) / 2
///   polynomial  min_lr + (peak - min_lr) (1 - (s - W) / (T - W))^power
///   wsd       peak until T - decay_steps, then to min_lr by decay_shape (warm-up, stable, decay;
///             Hu et al. 2024)
///   rsqrt     peak sqrt((W + 1) / (s + 1)), not below min_lr (Vaswani et al. 2017); with
///   hold_steps
///             H the peak until H, then peak sqrt(H / s) (tensor2tensor's rsqrt_normalized_decay)
///   step      peak gamma^k after k of the milestones
struct ScheduleOptions {
  std::string type = "cosine";
  int64_t warmup_steps = 0;
  double min_lr = 0.0;
  int64_t hold_steps = 0;              ///< rsqrt: 0, or more than warmup_steps
  int64_t decay_steps = 0;             ///< wsd: length of the decay; 0 means a fifth of T
  std::string decay_shape = "linear";  ///< wsd: linear, cosine or sqrt (1 - sqrt(progress))
  std::vector<int64_t> milestones;     ///< step: where the rate drops, ascending
  double gamma = 0.1;                  ///< step: by what
  double power = 1.0;                  ///< polynomial: 0.9 is usual in segmentation
  void options(Options& o);
};

class Schedule {
 public:
  /// `peak` is the optimiser's lr. Throws when the options contradict it or the run's length.
  Schedule(const ScheduleOptions& options, double peak, int64_t total_steps);

  /// The learning rate of step s (the first is 0); steps past the end have the last one's.
  double lr_at(int64_t s) const;
  double operator()(int64_t s) const { return lr_at(s); }

 private:
  ScheduleOptions options_;
  double peak_;
  int64_t total_;
};

}  // namespace heed::optim
