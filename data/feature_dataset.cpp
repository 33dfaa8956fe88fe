#include "data/feature_dataset.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/views.h"
#include "data/image_formats.h"
#include "data/text_source.h"

namespace heed::data {
namespace {

// One file's features and labels.
struct Source {
  Tensor features;
  std::vector<int64_t> labels;
  std::string name;
};

std::shared_ptr<const Source> open_source(const std::string& features, const std::string& labels,
                                          const SourceLocation& where) {
  if (features.empty() != labels.empty()) {
    fail_request(where,
                 "features need their labels and labels their features: give both or neither");
  }
  if (features.empty()) return nullptr;
  const Tensor x = read_array(expand_path(features, where));
  const Tensor y = read_array(expand_path(labels, where));
  const SourceLocation place{features};
  if ((x.rank() != 2 && x.rank() != 3) || !is_floating(x.dtype()) || x.numel() == 0) {
    fail_request(place, fmt::format("features must be floating [N, D] or [N, T, D], not {}", x));
  }
  if (y.rank() != 1 || is_floating(y.dtype()) || y.size(0) != x.size(0)) {
    fail_request(place,
                 fmt::format("{} features need as many integers as labels, not {}", x.size(0), y));
  }
  return std::make_shared<const Source>(Source{x, y.to_vector<int64_t>(), features});
}

class FeatureDataset : public LabelledDataset {
 public:
  FeatureDataset(const FeatureOptions& options, const SourceLocation& where) {
    const std::pair<const std::string*, const std::string*> given[] = {
        {&options.train, &options.train_labels},
        {&options.validation, &options.validation_labels},
        {&options.test, &options.test_labels}};
    for (size_t p = 0; p < 3; ++p) {
      parts_[p].source = open_source(*given[p].first, *given[p].second, where);
      if (!parts_[p].source) continue;
      parts_[p].rows.resize(parts_[p].source->labels.size());
      std::iota(parts_[p].rows.begin(), parts_[p].rows.end(), 0);
    }
    hold_out(parts_[0].rows, parts_[1].rows, parts_[2].rows, options.held);
    for (PartRows& part : parts_) {
      if (!part.source && !part.rows.empty()) part.source = parts_[0].source;
    }
    if (parts_[0].rows.empty()) fail_request(where, "there are no features to train on");
    const Shape whole = parts_[0].source->features.shape();
    shape_ = whole.rank() == 2 ? Shape{whole[1]} : Shape{whole[1], whole[2]};
    name_classes(options);
    check(where);
    summary_ = fmt::format(
        "features {} of {} classes: {} for training, {} for validation, {} for testing",
        shape_.to_string(), classes(), size(Part::train), size(Part::validation), size(Part::test));
  }

  const char* kind() const override { return "features"; }
  int64_t size(Part part) const override { return std::ssize(of(part).rows); }
  int64_t label(Part part, int64_t example) const override {
    return of(part).source->labels[row_of(part, example)];
  }
  Shape example_shape() const override { return shape_; }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    ImageBatch batch;
    Shape shape{std::ssize(rows)};
    for (int d = 0; d < shape_.rank(); ++d) shape.insert(d + 1, shape_[d]);
    batch.images = Tensor::zeros(shape, DType::f32);
    batch.labels = Tensor::full({std::ssize(rows)}, static_cast<double>(kIgnoreTarget), DType::i64);
    const int64_t values = shape_.numel();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].example < 0) continue;
      const size_t row = row_of(part, rows[i].example);
      const auto first = static_cast<int64_t>(row);
      const std::vector<float> own =
          views::slice(of(part).source->features, 0, first, first + 1).to_vector<float>();
      if (!std::all_of(own.begin(), own.end(), [](float x) { return std::isfinite(x); })) {
        fail_request("{}: row {} holds a value that is not finite", of(part).source->name, row);
      }
      std::copy(own.begin(), own.end(),
                batch.images.data<float>() + static_cast<int64_t>(i) * values);
      batch.labels.data<int64_t>()[i] = of(part).source->labels[row];
      ++batch.count;
    }
    return batch;
  }

 private:
  struct PartRows {
    std::shared_ptr<const Source> source;  // null: none
    std::vector<int64_t> rows;
  };

  const PartRows& of(Part part) const { return parts_[static_cast<size_t>(part)]; }
  size_t row_of(Part part, int64_t example) const {
    return static_cast<size_t>(of(part).rows.at(static_cast<size_t>(example)));
  }

  void name_classes(const FeatureOptions& options) {
    class_names_ = options.classes;
    if (!class_names_.empty()) return;
    const std::vector<int64_t>& labels = parts_[0].source->labels;
    const int64_t highest = *std::max_element(labels.begin(), labels.end());
    for (int64_t c = 0; c <= highest; ++c) class_names_.push_back(std::to_string(c));
  }

  void check(const SourceLocation& where) const {
    for (const PartRows& part : parts_) {
      if (!part.source) continue;
      Shape shape = part.source->features.shape();
      shape.erase(0);
      if (!(shape == shape_)) {
        fail_request(where, fmt::format("{}: features of {}, and {} in training", part.source->name,
                                        shape.to_string(), shape_.to_string()));
      }
      for (const int64_t label : part.source->labels) {
        if (label >= 0 && label < classes()) continue;
        fail_request(where, fmt::format("{}: the label {} is none of the {} classes",
                                        part.source->name, label, classes()));
      }
    }
  }

  PartRows parts_[3];
  Shape shape_;
};

}  // namespace

void FeatureOptions::options(Options& o) {
  o.field("train", train,
          "floating [N, D] or [N, T, D]: a .npy file, file.npz:member or file.safetensors:tensor",
          {.required = true});
  o.field("train_labels", train_labels, "integers [N], likewise", {.required = true});
  o.field("validation", validation, "features of the validation part");
  o.field("validation_labels", validation_labels, "labels of the validation part");
  o.field("test", test, "features of the test part");
  o.field("test_labels", test_labels, "labels of the test part");
  o.field("classes", classes, "names of the classes in the order of their numbers");
  held.options(o);
}

std::unique_ptr<LabelledDataset> open_features(const FeatureOptions& options,
                                               const SourceLocation& where) {
  return std::make_unique<FeatureDataset>(options, where);
}

}  // namespace heed::data
