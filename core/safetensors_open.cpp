// read_safetensors: one mapped file, or the shards that an index lists.
#include <filesystem>
#include <map>
#include <set>

#include "core/config.h"
#include "core/files.h"
#include "core/safetensors.h"

namespace heed {
namespace fs = std::filesystem;
namespace {

SafetensorsFile read_one(const std::string& path) {
  const auto file = std::make_shared<MappedFile>(path);
  SafetensorsFile read = parse_safetensors(file->bytes(), path, file);
  read.files.push_back(file);
  return read;
}

// An index lists, for each tensor, the file beside it that holds it.
SafetensorsFile read_shards(const std::string& path) {
  const Config index = read_json_file(path);
  const Config& weight_map = index.at("weight_map");
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [name, file] : weight_map.as_map()) {
    const std::string& shard = file.as_string();
    if (shard.empty() || fs::path(shard).filename() != shard || shard == "..") {
      fail_request(file.where(), fmt::format("'{}' must be the name of a file beside this one, got "
                                             "'{}'",
                                             name, shard));
    }
    files[shard].insert(name);
  }
  SafetensorsFile all;
  if (const Config* metadata = index.find("metadata")) {
    for (const auto& [key, value] : metadata->as_map()) {
      all.metadata.emplace_back(key, value.is_string() ? value.as_string() : value.to_json());
    }
  }
  for (const auto& [shard, wanted] : files) {
    const std::string shard_path = (fs::path(path).parent_path() / shard).string();
    std::set<std::string> missing = wanted;
    SafetensorsFile read = read_one(shard_path);
    all.files.push_back(read.files.front());
    for (auto& [name, tensor] : read.tensors) {
      if (missing.erase(name) > 0) all.tensors.emplace_back(name, std::move(tensor));
    }
    if (!missing.empty()) {
      fail_request(weight_map.at(*missing.begin()).key_where(),
                   fmt::format("'{}' is not in '{}'", *missing.begin(), shard_path));
    }
  }
  return all;
}

}  // namespace

void SafetensorsFile::release(const Tensor& tensor) const {
  const auto* data = static_cast<const std::byte*>(tensor.raw());
  const std::span own(data, static_cast<size_t>(tensor.bytes()));
  for (const auto& file : files) {
    const auto all = file->bytes();
    if (data >= all.data() && data < all.data() + all.size()) file->release(own);
  }
}

SafetensorsFile read_safetensors(const std::string& path) {
  if (path.ends_with(".json")) return read_shards(path);
  if (fs::is_directory(path)) {
    const std::string whole = path + "/model.safetensors";
    const std::string index = whole + ".index.json";
    return !fs::exists(whole) && fs::exists(index) ? read_shards(index) : read_one(whole);
  }
  return read_one(path);
}

}  // namespace heed
