#include "recipes/engine/labelled_task.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <variant>

#include "core/files.h"
#include "data/registry.h"
#include "data/resample.h"
#include "nn/device_of.h"
#include "recipes/engine/batch_device.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string names_file(const std::string& assets) {
  return (fs::path(assets) / "class_names.json").string();
}

/// The task's name as the recipe has it: name() is not the derived class's yet in a constructor.
const std::string& type_of(const Recipe& recipe) { return recipe.task.at("type").as_string(); }

nn::ClassifierInput input_of(const data::LabelledDataset& data) {
  const Shape shape = data.example_shape();
  if (const data::Tokenizer* tokenizer = data.tokenizer()) {
    return nn::ClassifierInput::tokens(tokenizer->vocab_size(), shape[0]);
  }
  if (shape.rank() < 3) {
    return nn::ClassifierInput::features(shape[-1], shape.rank() == 2 ? shape[0] : 0);
  }
  return nn::ClassifierInput::images(shape[0], shape[1], shape[2]);
}

// [B, H, W, C] with other sides.
Tensor resized(const Tensor& images, int64_t height, int64_t width) {
  if (images.size(1) == height && images.size(2) == width) return images;
  const int64_t rows = images.size(0), values = images.numel() / rows;
  Tensor result = Tensor::empty({rows, height, width, images.size(3)}, DType::f32);
  float* to = result.data<float>();
  for (int64_t row = 0; row < rows; ++row) {
    data::Image image(images.size(1), images.size(2), images.size(3));
    std::copy_n(images.data<float>() + row * values, values, image.values.begin());
    const data::Image other = data::resize(image, height, width);
    to = std::copy(other.values.begin(), other.values.end(), to);
  }
  return result;
}

}  // namespace

void ResolutionStage::options(Options& o) {
  o.field("until", until, "the first step that has it no more", {.min = 1, .required = true});
  o.field("size", size, "height and width of the images, or one number for both",
          {.min = 1, .required = true});
  o.check(size.size() == 1 || size.size() == 2, "size", "size must be one number or two");
}

Batch LabelledTask::as_batch(const data::LabelledBatch& labelled) {
  if (const auto* images = std::get_if<data::ImageBatch>(&labelled)) {
    return {{{"x", images->images}, {"labels", images->labels}}, images->count};
  }
  const auto& texts = std::get<data::TextBatch>(labelled);
  return {{{"x", texts.ids}, {"lengths", texts.lengths}, {"labels", texts.labels}}, texts.count};
}

void LabelledTask::open_data(const std::string& part, TaskUse use, const std::string& assets) {
  if (use == TaskUse::generate && !assets.empty()) {  // the checkpoint has all that is needed
    if (has_tokenizer(assets)) {
      own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
      tokenizer_ = own_tokenizer_.get();
    }
    const Config names = read_json_file(names_file(assets));
    for (const Config& class_name : names.as_list()) class_names_.push_back(class_name.as_string());
    return;
  }
  const Config& type = recipe_.data.at("type");
  const data::DatasetEntry& entry = data::find_dataset(type.as_string(), type.where());
  if (entry.kind != "images" && entry.kind != "texts" && entry.kind != "features") {
    fail_request(type.where(),
                 fmt::format("task {}: the dataset '{}' ({}) has no images, texts or features of "
                             "one class each",
                             type_of(recipe_), entry.name, entry.kind));
  }
  data_ = entry.open_labelled(with_saved_tokenizer(recipe_.data, assets));
  tokenizer_ = data_->tokenizer();
  class_names_ = data_->class_names();
  part_ = chosen_part(recipe_, part, data_->size(data::Part::validation),
                      data_->size(data::Part::test), data_->summary());
}

std::unique_ptr<nn::Classifier> LabelledTask::make_model(const Config& config,
                                                         int64_t outputs) const {
  return data_ ? nn::make_classifier(config, outputs, input_of(*data_))
               : nn::make_classifier(config);
}

void LabelledTask::build_model(int64_t outputs) { model_ = make_model(recipe_.model, outputs); }

void LabelledTask::check_stages(const std::vector<ResolutionStage>& stages) const {
  if (stages.empty()) return;
  const SourceLocation where = recipe_.task.at("resolutions").where();
  if (data_->kind() != std::string("images")) {
    fail_request(where, fmt::format("resolutions: of images, and the data are {}", data_->kind()));
  }
  int64_t before = 0;
  for (const ResolutionStage& stage : stages) {
    if (stage.until <= before) {
      fail_request(where, fmt::format("resolutions: until: {} does not ascend", stage.until));
    }
    before = stage.until;
  }
}

void LabelledTask::start_labelled_batches(const std::vector<ResolutionStage>& stages) {
  check_stages(stages);
  const data::LabelledBatchOptions options{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches(
      [data = data_, options, stages](int64_t step, const data::RowSlice& part) {
        data::LabelledBatchOptions own = options;
        own.slice = part;
        Batch batch = as_batch(data->train_batch(step, own));
        const auto stage = std::find_if(stages.begin(), stages.end(),
                                        [&](const auto& s) { return step < s.until; });
        if (stage != stages.end()) {
          Tensor& x = batch.tensors.front().second;
          x = resized(x, stage->size.front(), stage->size.back());
        }
        return batch;
      },
      data_->workers());
}

const char* LabelledTask::item_name() const {
  if (tokenizer_ != nullptr) return "texts";
  return has_features() ? "features" : "images";
}

int64_t LabelledTask::activation_bytes() {
  if (!has_features()) return IndexedTask::activation_bytes();
  const Batch batch = maker()(0, {0, recipe_.train.accumulation});
  return kept_bytes([&] { return loss(batch); });
}

Tensor LabelledTask::outputs(nn::Classifier& model, const Batch& batch) {
  const Tensor* lengths = batch.find("lengths");
  return model.forward(batch["x"], lengths == nullptr ? Tensor() : *lengths);
}

int64_t LabelledTask::walked(const EvaluationOptions& options) const {
  const int64_t all = data_->size(part_);
  return options.max_batches > 0 ? std::min(all, options.max_batches * evaluation_rows(options))
                                 : all;
}

bool LabelledTask::walk(const EvaluationOptions& options, Communicator& communicator,
                        const Progress& progress, const Row& row) {
  const int64_t rows = evaluation_rows(options);
  int64_t batches = data_->evaluation_batches(part_, rows);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  if (batches == 0) return false;

  const NoGrad no_grad;
  const data::LabelledBatchOptions of_rank{
      .batch = rows, .seed = seed(), .slice = {communicator.rank(), communicator.size()}};
  data::Prefetcher<Batch> ahead(
      [&, batches](int64_t index) {
        if (index >= batches) return Batch();  // made ahead, not asked for
        return as_batch(data_->evaluation_batch(part_, index, of_rank));
      },
      {.threads = data_->workers()});
  for (int64_t i = 0; i < batches; ++i) {
    const Batch batch = on_device(ahead.next(), nn::device_of(*model_));
    if (batch.count > 0) {
      const Tensor result = outputs(*model_, batch);
      const std::vector<float> values = result.to_vector<float>();
      const std::vector<int64_t> labels = batch["labels"].to_vector<int64_t>();
      const auto width = static_cast<size_t>(result.size(1));
      for (size_t r = 0; r < labels.size(); ++r) {
        if (labels[r] == data::kIgnoreTarget) continue;
        row(std::span(values).subspan(r * width, width), labels[r]);
      }
    }
    if (progress) progress(i + 1, batches);
  }
  return true;
}

std::vector<std::string> LabelledTask::save_assets(const std::string& folder) {
  Config names = Config::list();
  for (const std::string& name : class_names_) names.append(name);
  write_file_atomically(names_file(folder), names.to_json(2) + "\n");
  if (tokenizer_ == nullptr) return {names_file(folder)};
  tokenizer_->save(tokenizer_file(folder));
  return {names_file(folder), tokenizer_file(folder)};
}

}  // namespace heed::recipes
