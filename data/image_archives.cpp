#include "data/image_archives.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "core/files.h"
#include "data/image_formats.h"
#include "data/text_source.h"
#include "data/zip.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

struct Archive {
  std::string path;
  std::shared_ptr<const MappedFile> file;
};

// An image before its class has a number.
struct Member {
  std::string class_name;
  Archive archive;
  ZipMember zip;
};

// What the folders of an archive's images have in common, with the slash; of a single folder what
// lies above it.
size_t common_prefix(const std::vector<ZipMember>& images) {
  std::string common = fs::path(images.front().name).parent_path().string() + "/";
  bool one_folder = true;
  for (const ZipMember& image : images) {
    const std::string folder = fs::path(image.name).parent_path().string() + "/";
    one_folder = one_folder && folder == common;
    const auto end =
        std::mismatch(common.begin(), common.end(), folder.begin(), folder.end()).first;
    common.erase(end, common.end());
  }
  if (one_folder) common.pop_back();
  const size_t slash = common.rfind('/');
  return slash == std::string::npos ? 0 : slash + 1;
}

void read_archive(const std::string& path, const SourceLocation& where,
                  std::vector<Member>& members) {
  const Archive archive{path, std::make_shared<const MappedFile>(path)};
  std::vector<ZipMember> images = index_zip(archive.file->bytes(), path);
  std::erase_if(images, [](const ZipMember& m) { return !is_image_name(m.name); });
  if (images.empty()) {
    fail_request(where, fmt::format("'{}' holds no JPEG or PNG files", path));
  }
  const size_t skip = common_prefix(images);
  for (const ZipMember& image : images) {
    const std::string folder = fs::path(image.name).parent_path().string();
    if (folder.size() <= skip) {
      fail_request(where, fmt::format("'{}': '{}' lies in no folder of a class", path, image.name));
    }
    members.push_back({folder.substr(skip), archive, image});
  }
}

// By class and file name, each image once.
std::vector<Member> read_part(const std::vector<std::string>& patterns,
                              const SourceLocation& where) {
  std::vector<Member> members;
  if (patterns.empty()) return members;
  for (const std::string& path : find_text_files(patterns, where)) {
    read_archive(path, where, members);
  }
  const auto identity = [](const Member& m) {
    return std::tuple(m.class_name, fs::path(m.zip.name).filename().string(), m.zip.crc32,
                      m.zip.size);
  };
  std::stable_sort(members.begin(), members.end(),
                   [&](const Member& a, const Member& b) { return identity(a) < identity(b); });
  const auto same = [&](const Member& a, const Member& b) { return identity(a) == identity(b); };
  members.erase(std::unique(members.begin(), members.end(), same), members.end());
  return members;
}

std::shared_ptr<const ImageSource> source_of(const std::vector<Member>& members,
                                             const std::vector<std::string>& classes,
                                             const ImageOptions& options) {
  if (members.empty()) return nullptr;
  std::vector<EncodedImage> images;
  for (const Member& member : members) {
    const auto label = std::lower_bound(classes.begin(), classes.end(), member.class_name);
    images.push_back({.name = member.archive.path + ":" + member.zip.name,
                      .label = label - classes.begin(),
                      .unpack = [archive = member.archive, zip = member.zip] {
                        return read_zip_member(archive.file->bytes(), zip, archive.path);
                      }});
  }
  return encoded_images(std::move(images), options.channels, options.cache_bytes, nullptr);
}

}  // namespace

void ImageArchiveOptions::options(Options& o) {
  o.field("train", train,
          "zip files with a folder of images for each class, or glob patterns; ${NAME} is an "
          "environment variable",
          {.required = true});
  o.field("validation", validation, "zip files of the validation part, of any classes");
  o.field("test", test, "zip files of the test part, of any classes");
  images.options(o);
}

std::unique_ptr<LabelledDataset> open_image_archives(const ImageArchiveOptions& options,
                                                     const SourceLocation& where) {
  const std::vector<Member> parts[] = {read_part(options.train, where),
                                       read_part(options.validation, where),
                                       read_part(options.test, where)};
  std::set<std::string> names;
  for (const std::vector<Member>& part : parts) {
    for (const Member& member : part) names.insert(member.class_name);
  }
  const std::vector<std::string> classes(names.begin(), names.end());
  return std::make_unique<ImageDataset>(ImageSources{source_of(parts[0], classes, options.images),
                                                     source_of(parts[1], classes, options.images),
                                                     source_of(parts[2], classes, options.images)},
                                        options.images, classes, where);
}

}  // namespace heed::data
