#include "data/text_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/files.h"
#include "data/registry.h"
#include "data/system_headers.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

std::string text_of(const TextDataset& dataset, const Split& split) {
  return dataset.tokenizer->decode(split.tokens.slice(0, split.tokens.size()));
}

TextSource documents(const std::vector<std::string>& texts) {
  TextSource source;
  for (size_t i = 0; i < texts.size(); ++i) {
    source.documents.push_back({"/data/" + std::to_string(i) + ".txt", texts[i]});
  }
  return source;
}

std::string error_of(const std::string& yaml) {
  try {
    open_text_dataset(parse_yaml(yaml, "r.yaml"));
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(TextDataset, HoldsOutTheTail) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>('a' + i % 26);
  const auto dataset = make_text_dataset(documents({text}), {}, {.validation = 0.25});
  EXPECT_EQ(text_of(*dataset, dataset->train), text.substr(0, 750));
  EXPECT_EQ(text_of(*dataset, dataset->validation), text.substr(750));
  EXPECT_EQ(dataset->validation.bytes, 250);
}

TEST(TextDataset, JoinsDocumentsByTheEndOfText) {
  const auto dataset = make_text_dataset(documents({"one", "two", "six"}), {}, {.validation = 0});
  EXPECT_EQ(text_of(*dataset, dataset->train), "one<|endoftext|>two<|endoftext|>six");
  EXPECT_EQ(dataset->train.bytes, 9);
  EXPECT_EQ(dataset->validation.tokens.size(), 0);
}

TEST(TextDataset, CharsTakesTheCharactersOfBothSplits) {
  const auto dataset = make_text_dataset(documents({"aaaaaaaaab"}), {},
                                         {.tokenizer = {.type = "chars"}, .validation = 0.1});
  EXPECT_EQ(dataset->vocab_size(), 2);
  EXPECT_EQ(text_of(*dataset, dataset->validation), "b");
}

TEST(TextDataset, BpeIsTrainedOnTheTrainingSplitOnly) {
  const auto dataset = make_text_dataset(documents({"abababab"}), documents({"cdcdcdcd"}),
                                         {.tokenizer = {.type = "bpe", .vocab_size = 300}});
  EXPECT_EQ(dataset->validation.tokens.size(), 8) << "nothing was learned of cd";
  EXPECT_LT(dataset->train.tokens.size(), 8);
}

TEST(TextDataset, HoldsOutFilesByTheirNames) {
  std::vector<std::string> texts(40, "some text");
  const TextOptions options{.validation = 0.25, .split = "files"};
  const auto dataset = make_text_dataset(documents(texts), {}, options);
  EXPECT_EQ(dataset->train.documents, 30);
  EXPECT_EQ(dataset->validation.documents, 10);
  // the same files elsewhere are split alike
  for (size_t i = 0; i < texts.size(); ++i) texts[i] = "text " + std::to_string(100 + i);
  TextSource here = documents(texts), there = documents(texts);
  for (Document& document : there.documents) document.path = "/elsewhere" + document.path;
  const auto a = make_text_dataset(std::move(here), {}, options);
  const auto b = make_text_dataset(std::move(there), {}, options);
  EXPECT_EQ(text_of(*a, a->validation), text_of(*b, b->validation));
}

TEST(TextDataset, FilesSplitLeavesOneOnEachSide) {
  const auto dataset =
      make_text_dataset(documents({"ab", "cd"}), {}, {.validation = 0.99, .split = "files"});
  EXPECT_EQ(dataset->train.documents, 1);
  EXPECT_EQ(dataset->validation.documents, 1);
  EXPECT_THROW(make_text_dataset(documents({"ab"}), {}, {.split = "files"}), RequestError);
}

TEST(TextDataset, OpensARecipesSection) {
  const TemporaryFolder folder;
  folder.write("train/a.txt", "hello hello hello");
  folder.write("valid/b.txt", "hello");
  const auto dataset = open_text_dataset(
      parse_yaml(fmt::format("type: text\nfiles: [{0}/train]\nvalidation_files: [{0}/valid]\n"
                             "tokenizer: {{type: bpe, vocab_size: 260}}\n",
                             folder.path()),
                 "r.yaml"));
  EXPECT_EQ(dataset->vocab_size(), 260);
  EXPECT_EQ(text_of(*dataset, dataset->train), "hello hello hello");
  EXPECT_EQ(text_of(*dataset, dataset->validation), "hello");
  EXPECT_THAT(dataset->summary, HasSubstr("tokenizer bpe of 260"));
}

TEST(TextDataset, UsesATokenizerFile) {
  const TemporaryFolder folder;
  folder.write("a.txt", "abcabc");
  make_text_dataset(documents({"cba"}), {}, {.tokenizer = {.type = "chars"}, .validation = 0})
      ->tokenizer->save(folder / "tokenizer.json");
  const auto dataset = open_text_dataset(parse_yaml(
      fmt::format("files: ['{0}/a.txt']\nvalidation: 0\ntokenizer: {{file: {0}/tokenizer.json}}",
                  folder.path()),
      "r.yaml"));
  EXPECT_STREQ(dataset->tokenizer->type(), "chars");
  EXPECT_EQ(dataset->vocab_size(), 3);
}

TEST(TextDataset, ErrorsNameTheRecipesLine) {
  EXPECT_THAT(error_of("type: txt"), HasSubstr("did you mean 'text'"));
  EXPECT_THAT(error_of("type: text\nfile: [a]"), HasSubstr("r.yaml:2"));
  EXPECT_THAT(error_of("files: [a]\nvalidation: 1.5"), HasSubstr("r.yaml:2"));
  EXPECT_THAT(error_of("validation: 0\nfiles: [/no/such/file]"),
              testing::AllOf(HasSubstr("r.yaml:2"), HasSubstr("/no/such/file")));
  EXPECT_THAT(error_of("files: [a]\ntokenizer: {type: word}"), HasSubstr("r.yaml:2"));
}

TEST(DatasetRegistry, EveryEntryDescribesItself) {
  std::set<std::string> names;
  for (const DatasetEntry& entry : dataset_registry()) {
    EXPECT_TRUE(names.insert(entry.name).second);
    EXPECT_FALSE(entry.summary.empty());
    EXPECT_TRUE(entry.schema().has("properties")) << entry.name;
  }
  EXPECT_EQ(find_dataset("cpp-headers").name, "cpp-headers");
}

TEST(TextDataset, TinyShakespeareAsNanoGpt) {
  HEED_REAL_DATA(path, "text/tinyshakespeare.txt");
  const auto dataset =
      open_text_dataset({.files = {path}, .text = {.tokenizer = {.type = "chars"}}});
  EXPECT_EQ(dataset->vocab_size(), 65);
  EXPECT_EQ(dataset->train.tokens.size(), 1003854) << "as nanoGPT prints";
  EXPECT_EQ(dataset->validation.tokens.size(), 111540);
}

TEST(CppHeaders, FindsText) {
  if (find_cpp_headers().empty()) GTEST_SKIP() << "no C++ standard library headers here";
  CppHeadersOptions options;
  options.text.max_bytes = 500'000;
  const auto dataset = open_cpp_headers(options), again = open_cpp_headers(options);
  EXPECT_LE(dataset->train.bytes + dataset->validation.bytes, 500'000);
  EXPECT_GT(dataset->train.bytes + dataset->validation.bytes, 400'000);
  EXPECT_GT(dataset->validation.bytes, 40'000);
  EXPECT_EQ(text_of(*dataset, dataset->validation), text_of(*again, again->validation));
  EXPECT_THAT(text_of(*dataset, dataset->train), HasSubstr("#include <"));
  EXPECT_THAT(dataset->summary, HasSubstr(find_cpp_headers()));
}

TEST(CppHeaders, ReadsAFolderOfOnesOwn) {
  const TemporaryFolder folder;
  folder.write("one.h", "#include <one>");
  folder.write("two.h", "#include <two>");
  const auto dataset = open_text_dataset(
      parse_yaml("type: cpp-headers\nfolder: " + folder.path() + "\nvalidation: 0", "r.yaml"));
  EXPECT_EQ(text_of(*dataset, dataset->train), "#include <one><|endoftext|>#include <two>");
}

}  // namespace
}  // namespace heed::data
