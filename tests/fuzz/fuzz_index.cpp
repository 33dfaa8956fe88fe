// open_token_folder on an index.json of any bytes, beside a shard that it may mean. Nothing but
// files of the folder is opened, and what is accepted is the shard's content.
#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/files.h"
#include "data/byte_tokenizer.h"
#include "data/token_folder.h"
#include "data/token_shard.h"
#include "tests/fuzz/harness.h"

namespace {

constexpr int64_t kTokens = 3;  // of the shard

// Made once, with the shard that make_seeds has an index of.
std::string folder() {
  static const std::string path = [] {
    const std::filesystem::path memory = "/dev/shm";
    const auto where =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    std::string made = (where / ("heed-fuzz-" + std::to_string(getpid()))).string();
    std::filesystem::create_directories(made);
    const heed::data::ByteTokenizer tokenizer;
    heed::data::write_shard(made + "/" + heed::data::shard_name(0),
                            {{'h', 'i', 256}, {0}, 2, false}, tokenizer,
                            heed::data::tokenizer_digest(tokenizer));
    return made;
  }();
  return path;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = folder() + "/" + heed::data::kShardIndex;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  heed::promise(file != nullptr, "the index can be written");
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  return heed::read_or_refuse([&] {
    const heed::data::TokenFolder opened = heed::data::open_token_folder(folder());
    const auto shards = static_cast<int64_t>(opened.shards.size());
    heed::promise(opened.tokens.size() == kTokens * shards, "the tokens are the shards'");
    for (const auto& shard : opened.shards) {
      heed::promise(shard.file == heed::data::shard_name(0), "no other file is opened");
    }
    if (shards > 0) heed::promise(opened.tokens[0] == 'h', "and hold what was written");
  });
}
