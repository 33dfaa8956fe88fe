#include "data/image_formats.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/files.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "data/idx.h"
#include "data/image_codec.h"
#include "data/tar.h"
#include "data/text_source.h"
#include "data/zip.h"

namespace heed::data {
namespace {

using Owners = std::vector<std::unique_ptr<MappedFile>>;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool is_image_extension(const std::string& extension) {
  return extension == "jpg" || extension == "jpeg" || extension == "png";
}

// ---- WebDataset

// One sample of a shard: the members that share a name.
struct Sample {
  std::string key;
  const TarMember* image = nullptr;
  const TarMember* label = nullptr;
};

int64_t parse_label(std::string_view text, const std::string& name) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  int64_t label = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (error != std::errc() || end != text.data() + text.size() || label < 0) {
    fail_request(SourceLocation{name}, fmt::format("'{}' is no class number", text.substr(0, 40)));
  }
  return label;
}

void add_sample(const Sample& sample, const std::string& shard, std::span<std::byte> bytes,
                std::vector<EncodedImage>& images) {
  if (sample.key.empty()) return;
  const std::string name = shard + ":" + sample.key;
  if (sample.image == nullptr || sample.label == nullptr) {
    fail_request(SourceLocation{name},
                 fmt::format("the sample has no {}",
                             sample.image == nullptr ? "image (jpg, jpeg or png)" : "class (cls)"));
  }
  const auto content = [&](const TarMember& member) {
    return bytes.subspan(static_cast<size_t>(member.offset), static_cast<size_t>(member.size));
  };
  const auto label = content(*sample.label);
  images.push_back({shard + ":" + sample.image->name, content(*sample.image),
                    parse_label({reinterpret_cast<const char*>(label.data()), label.size()},
                                shard + ":" + sample.label->name)});
}

void read_shard(const std::string& path, std::span<std::byte> bytes,
                std::vector<EncodedImage>& images) {
  const std::vector<TarMember> members = index_tar(bytes, path);
  Sample sample;
  for (const TarMember& member : members) {
    const size_t slash = member.name.rfind('/');
    const size_t dot = member.name.find('.', slash == std::string::npos ? 0 : slash + 1);
    if (dot == std::string::npos) continue;
    const std::string key = member.name.substr(0, dot);
    const std::string extension = lower(member.name.substr(dot + 1));
    if (key != sample.key) {
      add_sample(sample, path, bytes, images);
      sample = {key, nullptr, nullptr};
    }
    const TarMember** slot = is_image_extension(extension) ? &sample.image
                             : extension == "cls"          ? &sample.label
                                                           : nullptr;
    if (slot == nullptr) continue;
    if (*slot != nullptr) {
      fail_request(SourceLocation{path},
                   fmt::format("byte {}: '{}' is the sample's second {}", member.offset,
                               member.name, slot == &sample.image ? "image" : "class"));
    }
    *slot = &member;
  }
  add_sample(sample, path, bytes, images);
}

std::shared_ptr<const ImageSource> open_shards(const std::vector<std::string>& patterns,
                                               const ImageOptions& options,
                                               const SourceLocation& where) {
  if (patterns.empty()) return nullptr;
  const auto owners = std::make_shared<Owners>();
  std::vector<EncodedImage> images;
  for (const std::string& path : find_text_files(patterns, where)) {
    owners->push_back(std::make_unique<MappedFile>(path));
    read_shard(path, owners->back()->bytes(), images);
  }
  return encoded_images(std::move(images), options.channels, options.cache_bytes, owners);
}

// ---- folders

namespace fs = std::filesystem;

std::vector<std::string> class_folders(const std::string& folder, const SourceLocation& where) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (it->is_directory() && name[0] != '.') names.push_back(name);
  }
  if (error) fail_request(where, fmt::format("cannot read '{}': {}", folder, error.message()));
  if (names.empty()) {
    fail_request(where, fmt::format("'{}' holds no folders: one a class is needed", folder));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Files that are read when they are asked for: a folder may hold more of them than can be mapped.
class FileImages : public ImageSource {
 public:
  FileImages(std::vector<std::pair<std::string, int64_t>> files, int64_t channels)
      : files_(std::move(files)), channels_(channels) {}

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  int64_t label(int64_t index) const override { return at(index).second; }
  std::string name(int64_t index) const override { return at(index).first; }
  Image load(int64_t index) const override { return read_image(at(index).first, channels_); }

 private:
  const std::pair<std::string, int64_t>& at(int64_t index) const {
    return files_.at(static_cast<size_t>(index));
  }
  std::vector<std::pair<std::string, int64_t>> files_;
  int64_t channels_;
};

std::shared_ptr<const ImageSource> open_folder(const std::string& path,
                                               const std::vector<std::string>& classes,
                                               const ImageOptions& options,
                                               const SourceLocation& where) {
  if (path.empty()) return nullptr;
  const std::string folder = expand_path(path, where);
  std::vector<std::pair<std::string, int64_t>> files;
  for (const std::string& name : class_folders(folder, where)) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    if (found == classes.end()) {
      fail_request(where, fmt::format("'{}/{}': the training images have no class '{}'{}", folder,
                                      name, name, did_you_mean(name, classes)));
    }
    for (const std::string& file : expand_files(folder + "/" + name + "/**/*")) {
      if (!is_image_name(file)) continue;
      files.emplace_back(file, found - classes.begin());
    }
  }
  return std::make_shared<FileImages>(std::move(files), options.channels);
}

// ---- arrays

std::shared_ptr<const ImageSource> open_pair(const Tensor& images, const Tensor& labels,
                                             const std::string& name) {
  return array_images(images, labels, name);
}

std::shared_ptr<const ImageSource> open_array_pair(const std::string& images,
                                                   const std::string& labels,
                                                   const SourceLocation& where) {
  if (images.empty() != labels.empty()) {
    fail_request(where, "images need their labels and labels their images: give both or neither");
  }
  if (images.empty()) return nullptr;
  return open_pair(read_array(expand_path(images, where)), read_array(expand_path(labels, where)),
                   images);
}

std::shared_ptr<const ImageSource> open_idx_pair(const std::string& images,
                                                 const std::string& labels,
                                                 const SourceLocation& where) {
  if (images.empty() != labels.empty()) {
    fail_request(where, "images need their labels and labels their images: give both or neither");
  }
  if (images.empty()) return nullptr;
  return open_pair(read_idx(expand_path(images, where)), read_idx(expand_path(labels, where)),
                   images);
}

std::shared_ptr<const ImageSource> open_cifar_part(const std::vector<std::string>& patterns,
                                                   int64_t labels, const SourceLocation& where) {
  if (patterns.empty()) return nullptr;
  const auto [images, classes] = read_cifar(find_text_files(patterns, where), labels);
  return open_pair(images, classes, patterns.front());
}

}  // namespace

Image read_image(const std::string& path, int64_t channels) {
  const std::string bytes = read_file(path);
  return to_image(decode_image(std::as_bytes(std::span(bytes)), path, channels));
}

bool is_image_name(const std::string& name) {
  const std::string extension = lower(fs::path(name).extension().string());
  return !extension.empty() && is_image_extension(extension.substr(1));
}

std::pair<Tensor, Tensor> read_cifar(const std::vector<std::string>& paths, int64_t labels) {
  HEED_CHECK(labels == 1 || labels == 2, "read_cifar: {} labels a record", labels);
  constexpr int64_t kSide = 32, kPlane = kSide * kSide;
  const int64_t record = labels + 3 * kPlane;
  std::vector<std::string> files;
  int64_t count = 0;
  for (const std::string& path : paths) {
    files.push_back(read_file(path));
    const auto size = static_cast<int64_t>(files.back().size());
    if (size == 0 || size % record != 0) {
      fail_request(SourceLocation{path}, fmt::format("byte {}: records of {} bytes do not fill the "
                                                     "file's {}",
                                                     size / record * record, record, size));
    }
    count += size / record;
  }
  Tensor images = Tensor::empty({count, kSide, kSide, 3}, DType::u8);
  Tensor classes = Tensor::empty({count}, DType::i64);
  auto* pixel = images.data<uint8_t>();
  auto* label = classes.data<int64_t>();
  for (const std::string& file : files) {
    for (size_t at = 0; at < file.size(); at += static_cast<size_t>(record)) {
      const auto* from = reinterpret_cast<const uint8_t*>(file.data()) + at + labels;
      *label++ = from[-1];
      for (int64_t i = 0; i < kPlane; ++i) {
        for (int64_t c = 0; c < 3; ++c) *pixel++ = from[c * kPlane + i];
      }
    }
  }
  return {images, classes};
}

namespace {

Tensor read_npz_member(const std::string& file, const std::string& wanted) {
  const MappedFile mapped(file);
  std::vector<std::string> names;
  for (const ZipMember& member : index_zip(mapped.bytes(), file)) {
    std::string name = member.name;
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    if (name == wanted || member.name == wanted) {
      std::vector<std::byte> bytes = read_zip_member(mapped.bytes(), member, file);
      return parse_npy(bytes, file + ":" + wanted);
    }
    names.push_back(name);
  }
  fail_request(SourceLocation{file},
               fmt::format("no member '{}'{}", wanted, did_you_mean(wanted, names)));
}

Tensor read_named_tensor(const std::string& file, const std::string& wanted) {
  const SafetensorsFile content = read_safetensors(file);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : content.tensors) {
    if (name == wanted) return tensor;
    names.push_back(name);
  }
  fail_request(SourceLocation{file},
               fmt::format("no tensor '{}'{}; it has: {}", wanted, did_you_mean(wanted, names),
                           fmt::join(names, ", ")));
}

}  // namespace

Tensor read_array(const std::string& path) {
  using Reader = Tensor (*)(const std::string& file, const std::string& name);
  const std::pair<std::string, Reader> archives[] = {{".npz", read_npz_member},
                                                     {".safetensors", read_named_tensor}};
  for (const auto& [ending, read] : archives) {
    if (path.ends_with(ending)) return read(path, "");  // says which names there are
    const size_t at = path.find(ending + ":");
    if (at == std::string::npos) continue;
    const size_t colon = at + ending.size();
    return read(path.substr(0, colon), path.substr(colon + 1));
  }
  return read_npy(path);
}

std::unique_ptr<LabelledDataset> open_webdataset(const WebDatasetOptions& options,
                                                 const SourceLocation& where) {
  return std::make_unique<ImageDataset>(
      ImageSources{open_shards(options.train, options.images, where),
                   open_shards(options.validation, options.images, where),
                   open_shards(options.test, options.images, where)},
      options.images, std::vector<std::string>{}, where);
}

std::unique_ptr<LabelledDataset> open_image_folder(const ImageFolderOptions& options,
                                                   const SourceLocation& where) {
  const std::vector<std::string> classes = class_folders(expand_path(options.train, where), where);
  return std::make_unique<ImageDataset>(
      ImageSources{open_folder(options.train, classes, options.images, where),
                   open_folder(options.validation, classes, options.images, where),
                   open_folder(options.test, classes, options.images, where)},
      options.images, classes, where);
}

std::unique_ptr<LabelledDataset> open_cifar(const CifarOptions& options,
                                            const SourceLocation& where) {
  return std::make_unique<ImageDataset>(
      ImageSources{open_cifar_part(options.train, options.labels, where),
                   open_cifar_part(options.validation, options.labels, where),
                   open_cifar_part(options.test, options.labels, where)},
      options.images, std::vector<std::string>{}, where);
}

std::unique_ptr<LabelledDataset> open_idx(const IdxOptions& options, const SourceLocation& where) {
  return std::make_unique<ImageDataset>(
      ImageSources{open_idx_pair(options.train_images, options.train_labels, where), nullptr,
                   open_idx_pair(options.test_images, options.test_labels, where)},
      options.images, std::vector<std::string>{}, where);
}

std::unique_ptr<LabelledDataset> open_arrays(const ArrayOptions& options,
                                             const SourceLocation& where) {
  return std::make_unique<ImageDataset>(
      ImageSources{open_array_pair(options.train_images, options.train_labels, where),
                   open_array_pair(options.validation_images, options.validation_labels, where),
                   open_array_pair(options.test_images, options.test_labels, where)},
      options.images, std::vector<std::string>{}, where);
}

}  // namespace heed::data
