#include "recipes/engine/image_data.h"

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "data/image_codec.h"
#include "data/image_grid.h"

namespace heed::recipes {

std::shared_ptr<const data::LabelledDataset> open_images(const Config& config,
                                                         const std::string& task,
                                                         const std::vector<std::string>& kinds) {
  const Config* type = config.is_null() ? nullptr : config.find("type");
  if (type == nullptr) fail_request(config.where(), "task " + task + ": `data` needs a `type`");
  std::shared_ptr<const data::LabelledDataset> data = data::open_labelled_dataset(config);
  if (std::find(kinds.begin(), kinds.end(), data->kind()) == kinds.end()) {
    fail_request(type->where(),
                 fmt::format("task {}: the dataset '{}' has {}, not {}", task, type->as_string(),
                             data->kind(), fmt::join(kinds, " or ")));
  }
  return data;
}

nn::ImageGeometry geometry_of(const data::LabelledDataset& data) {
  const Shape shape = data.example_shape();
  nn::ImageGeometry geometry;
  const int rank = shape.rank();
  if (rank == 4) geometry.frames = shape[0];
  geometry.height = shape[rank - 3];
  geometry.width = shape[rank - 2];
  geometry.channels = shape[rank - 1];
  return geometry;
}

Tensor centred(const Tensor& images) {
  constexpr float kRounding = 1e-5f;
  Tensor result = Tensor::empty(images.shape(), DType::f32);
  const float* from = images.data<float>();
  float* to = result.data<float>();
  for (int64_t i = 0; i < images.numel(); ++i) {
    HEED_CHECK(from[i] >= -kRounding && from[i] <= 1 + kRounding,
               "images: a pixel of {}, outside [0, 1]; this task wants no `normalise`", from[i]);
    to[i] = 2 * from[i] - 1;
  }
  return result;
}

std::vector<data::Image> pictures(const Tensor& x, int64_t count) {
  const int rank = x.rank();
  const int64_t height = x.size(rank - 3), width = x.size(rank - 2), channels = x.size(rank - 1);
  const int64_t frames = rank == 5 ? x.size(1) : 1, pixels = height * width * channels;
  const std::vector<float> values = x.to_vector<float>();
  std::vector<data::Image> images;
  for (int64_t n = 0; n < std::min(count, x.size(0)) * frames; ++n) {
    data::Image image(height, width, channels);
    for (int64_t i = 0; i < pixels; ++i) {
      image.values[static_cast<size_t>(i)] =
          0.5f + 0.5f * values[static_cast<size_t>(n * pixels + i)];
    }
    images.push_back(std::move(image));
  }
  return images;
}

std::string write_grid(const std::string& folder, const std::string& name,
                       const std::vector<data::Image>& images, int64_t columns) {
  const std::string path = (std::filesystem::path(folder) / (name + ".png")).string();
  const int64_t enlarge = data::enlargement(images.at(0).height);
  write_file_atomically(path, data::encode_png(data::image_grid(images, columns, enlarge)));
  return path;
}

}  // namespace heed::recipes
