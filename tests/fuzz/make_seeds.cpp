// make_seeds DIR writes small valid inputs into DIR/<harness>/, for the fuzzers to start from.
#include <cstdio>
#include <string>

#include "core/config.h"
#include "core/files.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/image_codec.h"
#include "data/sentence_bpe.h"
#include "data/word_tokenizer.h"
#include "tests/data/archives.h"

namespace heed {
namespace {

void make_tensor_files(const std::string& dir) {
  using DT = DType;
  std::vector<std::pair<std::string, Tensor>> all;
  for (DT dtype : {DT::f32, DT::bf16, DT::f16, DT::f64, DT::i32, DT::i64, DT::u8, DT::boolean}) {
    const std::string name = name_of(dtype);
    const Tensor tensor = Tensor::full({2, 3}, 1, dtype);
    all.emplace_back(name, tensor);
    write_safetensors(dir + "/safetensors/" + name, {{"x", tensor}});
    if (dtype != DT::bf16) write_npy(dir + "/npy/" + name, tensor);
  }
  all.emplace_back("scalar", Tensor::zeros({}));
  all.emplace_back("empty", Tensor::zeros({0, 4}));
  write_safetensors(dir + "/safetensors/all", all, {{"format", "pt"}});
  write_npy(dir + "/npy/scalar", Tensor::zeros({}));
  write_npy(dir + "/npy/empty", Tensor::zeros({0, 4}));
}

void make_texts(const std::string& dir) {
  const std::string values =
      R"({"a": true, "b": 7, "c": 2.5e-3, "d": "t\u00e9\n", "e": [1, -2], "f": [0.5], "g": ["s"],)"
      R"( "h": null, "i": {"x": [[], {}]}, "j": {"a": "y", "b": 1}, "k": [{"a": "x"}, {"b": 2}]})";
  write_file_atomically(dir + "/json/values", values);
  write_file_atomically(dir + "/yaml/json", values);
  write_file_atomically(dir + "/yaml/block", parse_json(values, "values").to_yaml());
  write_file_atomically(dir + "/yaml/syntax",
                        "%YAML 1.2\n---\n# comment\na: &x True\ni: [*x, !!str 1, 'it''s', .inf]\n"
                        "d: |\n  block\n  text\nj: {a: >-\n folded}\nk:\n- a: x\n  b: 1e0\n"
                        "- ? a\n  : y\n...\n");
}

void make_tokenizers(const std::string& dir) {
  data::ByteTokenizer().save(dir + "/tokenizer/bytes");
  data::CharTokenizer::from_texts({"caf\xC3\xA9 \xFF"}).save(dir + "/tokenizer/chars");
  const data::BpeTokenizer bpe =
      data::train_bpe({"the cat sat on the mat, the cat"}, {.vocab_size = 264});
  bpe.save(dir + "/tokenizer/bpe");
  std::vector<std::string> tokens;
  for (data::TokenId id = 0; id < bpe.vocab_size(); ++id) tokens.emplace_back(bpe.token(id));
  data::BpeTokenizer(
      tokens, bpe.merges(), bpe.specials(),
      {{data::WordPattern::llama3, true}, /*ignore_merges=*/true, false, {*bpe.end_of_text()}})
      .save(dir + "/tokenizer/llama3");
  data::BpeTokenizer(tokens, bpe.merges(), bpe.specials(),
                     {{data::WordPattern::qwen2}, false, /*composed=*/true, {}})
      .save(dir + "/tokenizer/qwen2");
  std::vector<std::string> written = {"<s>", "</s>", "\xE2\x96\x81", "a",
                                      "\xE2\x96\x81"
                                      "a"};
  for (int byte = 0; byte < 256; ++byte) written.push_back(fmt::format("<0x{:02X}>", byte));
  for (const bool always : {true, false}) {
    data::SentenceBpeTokenizer(written, {{2, 3}}, {{"<s>", 0}, {"</s>", 1}}, {always, {0}})
        .save(dir + (always ? "/tokenizer/sentence" : "/tokenizer/metaspace"));
  }
  data::WordTokenizer({"the", "cat"}).save(dir + "/tokenizer/words");
}

void make_archives(const std::string& dir) {
  using data::tar_member;
  const std::vector<std::pair<std::string, std::string>> files = {
      {"a.txt", "some text, some text"}, {"folder/b", std::string(600, 'b')}, {"empty", ""}};
  write_file_atomically(dir + "/tar/files", data::tar_of(files));
  write_file_atomically(
      dir + "/tar/folder",
      tar_member("folder/", "", '5') + tar_member("folder/link", "", '2') + data::tar_end());
  write_file_atomically(dir + "/tar/long",
                        tar_member("././@LongLink", std::string(150, 'n') + '\0', 'L') +
                            tar_member("short", "content") + data::tar_end());
  write_file_atomically(dir + "/tar/pax", tar_member("pax", "16 path=a/b/c.d\n12 size=700\n", 'x') +
                                              tar_member("short", std::string(700, 'c')) +
                                              data::tar_end());
  write_file_atomically(dir + "/zip/stored", data::zip_of(files, false));
  write_file_atomically(dir + "/zip/deflated", data::zip_of(files, true));
}

void make_torch_files(const std::string& dir) {
  using namespace std::string_literals;
  const std::string tensor =
      "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
      "0X\3\0\0\0cpuK\x10tQK\0(K\2K\3t(K\3K\1t\x89"
      "ccollections\nOrderedDict\n)RtR"s;
  const std::string pickle = "\x80\2}(X\1\0\0\0w"s + tensor + "u."s;
  write_file_atomically(dir + "/torch/pickle", pickle);
  write_file_atomically(
      dir + "/torch/archive",
      data::zip_of({{"a/data.pkl", pickle}, {"a/data/0", std::string(64, 'x')}}, false));
}

void make_images(const std::string& dir) {
  for (const int64_t channels : {1, 3}) {
    data::ByteImage image(9, 17, channels);
    for (size_t i = 0; i < image.values.size(); ++i) image.values[i] = static_cast<uint8_t>(i * 7);
    const std::string name = std::to_string(channels);
    write_file_atomically(dir + "/image/png" + name, data::encode_png(image));
    write_file_atomically(dir + "/image/jpeg" + name, data::encode_jpeg(image, 80));
  }
}

void make_tables(const std::string& dir) {
  write_file_atomically(dir + "/delimited/csv",
                        "a,b,c\r\n1,\"two, \"\"2\"\"\",\n\n\"a\nline\",,4\n");
  write_file_atomically(dir + "/delimited/tsv", "a\tb\\t\\n\\\\\tc\n\t\n");
}

}  // namespace
}  // namespace heed

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: make_seeds DIR\n");
    return 2;
  }
  const std::string dir = arguments[1];
  for (const char* kind : {"safetensors", "npy", "json", "yaml", "tokenizer", "tar", "zip", "torch",
                           "image", "delimited"}) {
    heed::make_directories(dir + "/" + kind);
  }
  heed::make_tensor_files(dir);
  heed::make_texts(dir);
  heed::make_tokenizers(dir);
  heed::make_archives(dir);
  heed::make_torch_files(dir);
  heed::make_images(dir);
  heed::make_tables(dir);
  return 0;
}
