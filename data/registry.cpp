#include "data/registry.h"

#include "data/system_headers.h"

namespace heed::data {
namespace {

// Where errors about a dataset's files point to.
SourceLocation place_of(const Config& config, const char* key) {
  const Config* value = config.find(key);
  return value == nullptr ? config.where() : value->where();
}

std::unique_ptr<TextDataset> open_files(const Config& config) {
  return open_text_dataset(read_options<TextDatasetOptions>(config, "dataset text"),
                           place_of(config, "files"));
}

std::unique_ptr<TextDataset> open_headers(const Config& config) {
  return open_cpp_headers(read_options<CppHeadersOptions>(config, "dataset cpp-headers"),
                          config.where());
}

}  // namespace

const std::vector<DatasetEntry>& dataset_registry() {
  static const std::vector<DatasetEntry> entries = {
      {"cpp-headers", "text",
       "the C++ standard library's headers of this machine, or else the files named as fallback",
       describe_options<CppHeadersOptions>, open_headers, nullptr},
      {"text", "text", "text files, folders or glob patterns", describe_options<TextDatasetOptions>,
       open_files, nullptr},
  };
  return entries;
}

const DatasetEntry& find_dataset(const std::string& name, const SourceLocation& where) {
  std::vector<std::string> names;
  for (const DatasetEntry& entry : dataset_registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail_request(where, fmt::format("unknown dataset '{}'{}", name, did_you_mean(name, names)));
}

}  // namespace heed::data
