#include "data/token_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "data/byte_tokenizer.h"
#include "tests/core/raises.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

std::string integers(const std::vector<uint32_t>& ids, size_t width) {
  std::string bytes;
  for (const uint32_t id : ids) {
    for (size_t i = 0; i < width; ++i) bytes += static_cast<char>(id >> (8 * i) & 0xff);
  }
  return bytes;
}

// Ids of the byte tokenizer: 256 ends a text.
TokenFilesOptions write_files(const TemporaryFolder& folder, size_t width) {
  ByteTokenizer().save(folder / "tokenizer.json");
  folder.write("train.bin", integers({'h', 'i', 256, 0xe9, 256, 'y'}, width));
  folder.write("val.bin", integers({'o', 256}, width));
  TokenFilesOptions options;
  options.files = {folder / "train.bin"};
  options.validation_files = {folder / "val.bin"};
  options.integer = width == 2 ? "u16" : "u32";
  options.tokenizer.file = folder / "tokenizer.json";
  return options;
}

TEST(TokenFiles, HoldTheIdsTheyAreWrittenAs) {
  for (const size_t width : {2, 4}) {
    const TemporaryFolder folder;
    const auto data = open_token_files(write_files(folder, width));
    EXPECT_EQ(data->train.tokens.slice(0, 6),
              (std::vector<TokenId>{'h', 'i', 256, 0xe9, 256, 'y'}));
    EXPECT_EQ(data->train.bytes, 4) << "the end of text is none";
    EXPECT_EQ(data->train.documents, 3);
    EXPECT_EQ(data->validation.tokens.slice(0, 2), (std::vector<TokenId>{'o', 256}));
    EXPECT_EQ(data->validation.documents, 1);
    EXPECT_EQ(data->vocab_size(), 257);
  }
}

TEST(TokenFiles, HoldOutTheirTail) {
  const TemporaryFolder folder;
  TokenFilesOptions options = write_files(folder, 2);
  options.validation_files.clear();
  options.validation = 0.5;
  const auto data = open_token_files(options);
  EXPECT_EQ(data->train.tokens.size(), 3);
  EXPECT_EQ(data->validation.tokens.slice(0, 3), (std::vector<TokenId>{0xe9, 256, 'y'}));
}

// Pieces and files end where they will; the split lies within the second file.
TEST(TokenFiles, AreOneSequenceWhateverTheirSizes) {
  const TemporaryFolder folder;
  TokenFilesOptions options = write_files(folder, 2);
  std::vector<uint32_t> ids(150'001);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<uint32_t>(i * i % 257);
  ids.back() = 256;
  const auto middle = ids.begin() + 70'000;
  folder.write("a.bin", integers({ids.begin(), middle}, 2));
  folder.write("b.bin", "");
  folder.write("c.bin", integers({middle, ids.end()}, 2));
  options.files = {folder / "?.bin"};
  options.validation_files.clear();
  options.validation = 0.2;
  const auto data = open_token_files(options);
  const int64_t kept = data->train.tokens.size(), held = data->validation.tokens.size();
  EXPECT_EQ(kept, 120'000);
  std::vector<TokenId> read = data->train.tokens.slice(0, kept);
  const std::vector<TokenId> rest = data->validation.tokens.slice(0, held);
  read.insert(read.end(), rest.begin(), rest.end());
  EXPECT_EQ(read, std::vector<TokenId>(ids.begin(), ids.end()));
  const auto ends = std::count(read.begin(), read.begin() + kept, 256);
  EXPECT_EQ(data->train.bytes, kept - ends);
  EXPECT_EQ(data->train.documents, 1 + ends - (read[static_cast<size_t>(kept) - 1] == 256));
  EXPECT_EQ(data->validation.documents, std::count(rest.begin(), rest.end(), 256))
      << "nothing follows the last";
}

TEST(TokenFiles, ThatAreHeldOutMayBeEmpty) {
  const TemporaryFolder folder;
  const TokenFilesOptions options = write_files(folder, 2);
  folder.write("val.bin", "");
  const auto data = open_token_files(options);
  EXPECT_EQ(data->train.tokens.size(), 6);
  EXPECT_EQ(data->validation.tokens.size(), 0);
  EXPECT_EQ(data->validation.documents, 0);
}

TEST(TokenFiles, OfOneEndAreOneDocument) {
  const TemporaryFolder folder;
  const TokenFilesOptions options = write_files(folder, 2);
  folder.write("val.bin", integers({256}, 2));
  EXPECT_EQ(open_token_files(options)->validation.documents, 1);
}

TEST(TokenFiles, SayWhatIsWrong) {
  const TemporaryFolder folder;
  const TokenFilesOptions options = write_files(folder, 2);
  folder.write("train.bin", integers({1, 2, 257}, 2));
  EXPECT_THAT(request_error([&] { open_token_files(options); }),
              HasSubstr("byte 4: the id 257 is outside the tokenizer's vocabulary of 257"));
  folder.write("train.bin", "abc");
  EXPECT_THAT(request_error([&] { open_token_files(options); }), HasSubstr("3 bytes"));
  folder.write("train.bin", "");
  EXPECT_THAT(request_error([&] { open_token_files(options); }), HasSubstr("no tokens"));
  folder.write("train.bin", integers({1}, 2));
  TokenFilesOptions held = options;
  held.validation_files.clear();
  EXPECT_THAT(request_error([&] { open_token_files(held); }), HasSubstr("no tokens"));
}

}  // namespace
}  // namespace heed::data
