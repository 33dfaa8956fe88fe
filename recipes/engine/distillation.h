// The task of distillation (Hinton et al., arXiv 1503.02531): classification after a trained model.
//   loss = (1 - weight) cross_entropy(labels) + weight T^2 KL(teacher / T || student / T)
#pragma once

#include <memory>
#include <string>

#include "recipes/engine/classification.h"

namespace heed::recipes {

struct DistillationOptions : ClassificationOptions {
  std::string teacher;
  double temperature = 4.0;
  double weight = 0.5;
  void options(Options& o);
};

class Distillation : public Classification {
 public:
  Distillation(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "distillation"; }
  Tensor loss(const Batch& batch) override;

 private:
  Distillation(const Recipe& recipe, TaskUse use, const std::string& assets,
               const DistillationOptions& options);
  /// The teacher's checkpoint is frozen, in eval mode, and no part of module(). RequestErrors name
  /// what it does not share with the student: classes, the kind of input, the vocabulary.
  void load_teacher(const SourceLocation& where);
  double flops_per_row() override;

  DistillationOptions options_;
  std::unique_ptr<nn::Classifier> teacher_;  // null where nothing is trained
};

/// The task's line in the registry.
TaskEntry distillation_entry();

}  // namespace heed::recipes
