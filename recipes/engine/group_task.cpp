#include "recipes/engine/group_task.h"

#include <vector>

#include "autograd/ops/elementwise.h"

namespace heed::recipes {

void GroupTask::open_groups(const std::string& part, int64_t embedding, TaskUse use,
                            const std::string& assets) {
  // Rows are drawn by class here, and each is one example.
  const std::pair<const char*, double> neutral[] = {{"mixup", 0}, {"cutmix", 0}, {"repeats", 1}};
  for (const auto& [key, value] : neutral) {
    const Config* given = recipe_.data.is_map() ? recipe_.data.find(key) : nullptr;
    if (given == nullptr || given->as_number() == value) continue;
    fail_request(given->where(), fmt::format("task {}: no {}: a group's rows are examples of one "
                                             "class each, drawn by class",
                                             recipe_.task.at("type").as_string(), key));
  }
  open_data(part, use, assets);
  build_model(embedding);
}

data::ClassSampler GroupTask::sampler(data::Part part, int64_t least, int64_t classes) const {
  data::ClassSampler found(*data_, part, least);
  if (found.classes() < classes) {
    fail_request(recipe_.data.where(),
                 fmt::format("task {}: the {} part has {} classes of {} examples or more, and {} "
                             "are wanted ({})",
                             recipe_.task.at("type").as_string(), data::name_of(part),
                             found.classes(), least, classes, data_->summary()));
  }
  return found;
}

Batch GroupTask::gathered_rows(const data::LabelledDataset& data, data::Part part,
                               std::span<const data::ExampleRow> rows) {
  Batch batch = as_batch(data.gather(part, rows));
  batch.count = std::ssize(rows);
  return batch;
}

void GroupTask::start_groups(const GroupShape& shape, int64_t least) {
  shape_ = shape;
  const auto classes =
      std::make_shared<const data::ClassSampler>(sampler(data::Part::train, least, shape.classes));
  start_batches(
      [data = data_, classes, shape, groups = rows_per_step(), seed = seed()](
          int64_t step, const data::RowSlice& part) {
        const data::RowRange own = data::rows_of(part, groups);
        std::vector<data::ExampleRow> rows;
        for (int64_t group = own.begin; group < own.end; ++group) {
          const RandomKey key{seed, hash_name("data/groups"),
                              static_cast<uint64_t>(step * groups + group)};
          for (const data::ExampleRow& row : classes->rows(key, shape.classes, shape.each, true)) {
            rows.push_back(row);
          }
        }
        return gathered_rows(*data, data::Part::train, rows);
      },
      data_->workers());
}

Tensor GroupTask::embed(const Batch& batch) {
  const Tensor x = outputs(*model_, batch);
  return x.dtype() == DType::f64 ? x : cast(x, DType::f32);
}

}  // namespace heed::recipes
