// What the tasks on labelled images and texts share: the data, a model of one row of outputs an
// example, and the walk over the evaluated part.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/labelled_dataset.h"
#include "nn/models/classifier.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

/// Training on smaller (or larger) images at first: in steps below `until` (and not of an earlier
/// stage) they are resized to `size`, after the data's own transforms.
struct ResolutionStage {
  int64_t until = 0;
  std::vector<int64_t> size;  ///< [h, w], or one side of a square
  void options(Options& o);
};

class LabelledTask : public IndexedTask {
 public:
  nn::Module& module() override { return *model_; }
  nn::Classifier& model() { return *model_; }
  const data::LabelledDataset& data() const { return *data_; }

  std::string data_summary() override { return data_ ? data_->summary() : ""; }
  /// "images", "texts" or "features".
  const char* item_name() const override;
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }
  /// class_names.json and, of texts, tokenizer.json: a run that goes on, or is evaluated, keeps the
  /// vocabulary it began with.
  std::vector<std::string> save_assets(const std::string& folder) override;
  Config export_config() override { return model_->config(); }

  /// Of features a whole micro-batch is measured: probes are small, and a norm over one row has
  /// nothing to take a variance of.
  int64_t activation_bytes() override;

 protected:
  explicit LabelledTask(const Recipe& recipe) : IndexedTask(recipe) {}

  /// Opens the data; for an export, the assets are enough and data_ stays null. `part` names what
  /// is evaluated: "validation", "test", or "auto" (the first of the two that there is).
  void open_data(const std::string& part, TaskUse use, const std::string& assets);
  /// Builds the recipe's model with so many outputs, for the data's inputs. RequestErrors name
  /// what does not fit, with the recipe's line.
  void build_model(int64_t outputs);
  std::unique_ptr<nn::Classifier> make_model(const Config& config, int64_t outputs) const;
  /// Batches as as_batch() has them.
  /// Stages want images, and a model that takes them of any size; a RequestError for other data.
  void start_labelled_batches(const std::vector<ResolutionStage>& stages = {});

  /// "x" (images, or ids with "lengths") and "labels".
  static Batch as_batch(const data::LabelledBatch& labelled);

  /// The model's outputs [B, outputs] of a batch.
  static Tensor outputs(nn::Classifier& model, const Batch& batch);

  data::Part evaluated_part() const { return part_; }
  /// Hears of each example of the evaluated part: this rank's share of it.
  using Row = std::function<void(std::span<const float> outputs, int64_t label)>;
  /// Calls `row` for the examples of the evaluated part in order, with the module as it is now;
  /// not recorded. Returns whether there are any.
  bool walk(const EvaluationOptions& options, Communicator& communicator, const Progress& progress,
            const Row& row);
  /// Examples of the evaluated part that a walk visits (of all ranks).
  int64_t walked(const EvaluationOptions& options) const;

  double flops_per_row() override { return model_->flops(); }

  const std::vector<std::string>& class_names() const { return class_names_; }
  int64_t classes() const { return static_cast<int64_t>(class_names_.size()); }

  std::shared_ptr<const data::LabelledDataset> data_;
  std::unique_ptr<nn::Classifier> model_;

 private:
  bool has_features() const { return data_ && data_->example_shape().rank() < 3 && !tokenizer_; }
  void check_stages(const std::vector<ResolutionStage>& stages) const;

  data::Part part_ = data::Part::validation;
  std::vector<std::string> class_names_;
  std::unique_ptr<data::Tokenizer> own_tokenizer_;  // without data
  const data::Tokenizer* tokenizer_ = nullptr;      // of texts
};

}  // namespace heed::recipes
