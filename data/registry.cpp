#include "data/registry.h"

#include "data/aspect_texts.h"
#include "data/feature_dataset.h"
#include "data/image_archives.h"
#include "data/image_formats.h"
#include "data/image_pairs.h"
#include "data/listops.h"
#include "data/pixel_tokens.h"
#include "data/procedural_images.h"
#include "data/procedural_scenes.h"
#include "data/synthetic.h"
#include "data/synthetic_users.h"
#include "data/system_headers.h"
#include "data/text_classification.h"
#include "data/text_stream_dataset.h"
#include "data/token_files.h"
#include "data/token_shards.h"

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

std::unique_ptr<TextDataset> open_tokens(const Config& config) {
  return open_token_files(read_options<TokenFilesOptions>(config, "dataset token-files"),
                          place_of(config, "files"));
}

std::unique_ptr<TextDataset> open_shards(const Config& config) {
  return open_token_shards(read_options<TokenShardsOptions>(config, "dataset token-shards"),
                           place_of(config, config.has("folder") ? "folder" : "corpora"));
}

std::unique_ptr<TextDataset> open_stream(const Config& config) {
  return open_text_stream(read_options<TextStreamOptions>(config, "dataset text-stream"),
                          place_of(config, "files"));
}

std::unique_ptr<TextDataset> open_headers(const Config& config) {
  return open_cpp_headers(read_options<CppHeadersOptions>(config, "dataset cpp-headers"),
                          config.where());
}

std::unique_ptr<TextDataset> open_pixels(const Config& config) {
  return open_pixel_tokens(read_options<PixelTokenOptions>(config, "dataset pixel-tokens"),
                           place_of(config, "images"));
}

UserItems open_users(const Config& config) {
  return read_user_items(read_options<UserItemOptions>(config, "dataset user-items"),
                         place_of(config, "file"));
}

// An entry of labelled examples, opened by `open` with the Options read from the recipe.
template <class Options, auto open>
DatasetEntry labelled(const std::string& name, const std::string& kind,
                      const std::string& summary) {
  return {name, kind, summary, describe_options<Options>, nullptr, [name](const Config& config) {
            return open(read_options<Options>(config, "dataset " + name), config.where());
          }};
}

template <class Options, auto open>
DatasetEntry pairs(const std::string& name, const std::string& summary) {
  DatasetEntry entry{name, "pairs", summary, describe_options<Options>, nullptr, nullptr};
  entry.open_pairs = [name](const Config& config) {
    return open(read_options<Options>(config, "dataset " + name), config.where());
  };
  return entry;
}

template <class Options, auto open>
DatasetEntry image_texts(const std::string& name, const std::string& summary) {
  DatasetEntry entry{name, "image-texts", summary, describe_options<Options>, nullptr, nullptr};
  entry.open_image_texts = [name](const Config& config) {
    return open(read_options<Options>(config, "dataset " + name), config.where());
  };
  return entry;
}

}  // namespace

const std::vector<DatasetEntry>& dataset_registry() {
  static const std::vector<DatasetEntry> entries = {
      labelled<ArrayOptions, open_arrays>("arrays", "images",
                                          "images and labels in .npy, .npz or safetensors files"),
      labelled<AspectTextsOptions, open_aspect_texts>(
          "aspect-texts", "texts", "made reviews: whether each of three aspects is praised"),
      labelled<CifarOptions, open_cifar>("cifar", "images", "CIFAR-10 or -100, binary version"),
      labelled<ColourCopyOptions, open_colour_copy>(
          "colour-copy", "masks", "grids of colours, to be copied from a distance"),
      {"cpp-headers", "text",
       "the C++ standard library's headers of this machine, or else the files named as fallback",
       describe_options<CppHeadersOptions>, open_headers, nullptr},
      labelled<DegradedImageOptions, open_degraded_images>(
          "degraded-images", "image-pairs", "another dataset's images, made smaller or noisy"),
      labelled<FeatureOptions, open_features>(
          "features", "features", "another model's features and labels, in arrays: for probes"),
      labelled<IdxOptions, open_idx>("idx", "images", "IDX files: MNIST and its kin"),
      labelled<ImageArchiveOptions, open_image_archives>(
          "image-archives", "images", "zip archives with a folder of JPEG and PNG files a class"),
      labelled<ImageFolderOptions, open_image_folder>(
          "image-folder", "images", "a folder of JPEG and PNG files for each class"),
      labelled<ImagePairOptions, open_image_pairs>(
          "image-pairs", "image-pairs", "files of images, and of what they shall become"),
      image_texts<ImageTextFileOptions, open_image_texts>(
          "image-texts", "pictures with captions or conversations, in JSON lines"),
      labelled<ListOpsOptions, open_listops>("listops", "texts",
                                             "nested operations on digits and their value"),
      labelled<MovingShapesOptions, open_moving_shapes>("moving-shapes", "clips",
                                                        "clips of shapes that move and bounce"),
      {"pixel-tokens", "text", "another dataset's images, a token for each channel of each pixel",
       describe_options<PixelTokenOptions>, open_pixels, nullptr},
      labelled<ProceduralOptions, open_procedural>(
          "procedural-images", "images",
          "shapes, gratings, textures, glyphs or echoes made by formulas"),
      labelled<SentencesOptions, open_sentences>("sentences", "texts",
                                                 "a file of sentences for each class, one a line"),
      image_texts<ShapeCaptionOptions, open_shape_captions>(
          "shape-captions", "made pictures of figures, with their captions"),
      labelled<ShapeScenesOptions, open_shape_scenes>(
          "shape-scenes", "masks", "scenes of shapes over each other, with every pixel's class"),
      {"synthetic", "synthetic",
       "made sequences with answers: copying, recall, passkeys, induction, Markov chains, ListOps",
       describe_options<SyntheticDataOptions>, nullptr, nullptr},
      pairs<SyntheticPairOptions, open_synthetic_pairs>(
          "synthetic-pairs", "made pairs of texts: copied, reversed, sorted, ListOps"),
      {"synthetic-users", "sequences",
       "users' items made by formulas: tastes, successors and noise",
       describe_options<SyntheticUserOptions>, nullptr, nullptr,
       [](const Config& config) {
         return make_user_items(
             read_options<SyntheticUserOptions>(config, "dataset synthetic-users"));
       }},
      {"text", "text", "text files, folders or glob patterns", describe_options<TextDatasetOptions>,
       open_files, nullptr},
      pairs<PairTableOptions, open_pair_table>("text-pairs",
                                               "pairs of texts in CSV, TSV or JSON lines"),
      {"text-stream", "text", "JSON lines or texts, read and tokenized while training goes on",
       describe_options<TextStreamOptions>, open_stream, nullptr},
      labelled<TextTableOptions, open_text_table>("text-table", "texts",
                                                  "labelled texts in CSV, TSV or JSON lines"),
      {"token-files", "text", "files of token ids, as nanoGPT's train.bin",
       describe_options<TokenFilesOptions>, open_tokens, nullptr},
      {"token-shards", "text", "corpora that heed tokenize has tokenized, mixed by weight",
       describe_options<TokenShardsOptions>, open_shards, nullptr},
      {"user-items", "sequences", "users' items in time order, for next-item recommendation",
       describe_options<UserItemOptions>, nullptr, nullptr, open_users},
      labelled<WebDatasetOptions, open_webdataset>(
          "webdataset", "images", "tar shards of JPEG or PNG images and their classes"),
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
