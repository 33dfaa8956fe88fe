// make_seeds DIR writes small valid inputs into DIR/<harness>/, for the fuzzers to start from.
#include <cstdio>
#include <string>

#include "core/base64.h"
#include "core/config.h"
#include "core/files.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/image_codec.h"
#include "data/sentence_piece.h"
#include "data/sentencepiece_model.pb.h"
#include "data/token_folder.h"
#include "data/token_shard.h"
#include "data/word_tokenizer.h"
#include "recipes/engine/train_state.h"
#include "tests/data/archives.h"
#include "tests/data/charsmaps.h"

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
  write_file_atomically(dir + "/npz/stored",
                        data::zip_of({{"a.npy", read_file(dir + "/npy/f32")}}, false));
  write_file_atomically(dir + "/npz/deflated",
                        data::zip_of({{"a.npy", read_file(dir + "/npy/i64")}, {"b", "c"}}, true));
  write_file_atomically(dir + "/idx/labels", std::string("\0\0\x08\x01\0\0\0\x03", 8) + "abc");
  write_file_atomically(dir + "/idx/images",
                        std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03", 16) + "abcdef");
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
  data::BpeTokenizer(tokens, bpe.merges(), bpe.specials(),
                     {{data::WordPattern::llama3, true},
                      /*ignore_merges=*/true,
                      false,
                      data::Frame({*bpe.end_of_text()})})
      .save(dir + "/tokenizer/llama3");
  data::BpeTokenizer(tokens, bpe.merges(), bpe.specials(),
                     {{data::WordPattern::qwen2}, false, /*composed=*/true, {}})
      .save(dir + "/tokenizer/qwen2");
  data::WordTokenizer({"the", "cat"}).save(dir + "/tokenizer/words");
}

// A document of each model that is made of parts.
void make_pipelines(const std::string& dir) {
  const std::string space = "\xE2\x96\x81";
  const std::string map = data::charsmap_of({{"A", "a"}, {"\t", " "}});
  const std::string word_piece =
      R"({"added_tokens": [{"id": 0, "content": "[UNK]"}, {"id": 1, "content": "[CLS]", "lstrip": true}],
          "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
          "post_processor": {"type": "BertProcessing", "sep": ["[CLS]", 1], "cls": ["[CLS]", 1]},
          "decoder": {"type": "WordPiece", "prefix": "##"}, "model": {"type": "WordPiece",
          "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
          "vocab": {"[UNK]": 0, "[CLS]": 1, "the": 2, "##s": 3, ",": 4}}})";
  write_file_atomically(dir + "/tokenizer/word_piece", word_piece);
  write_file_atomically(
      dir + "/tokenizer/unigram",
      fmt::format(R"({{"normalizer": {{"type": "Sequence", "normalizers": [{{"type": "Precompiled",
                      "precompiled_charsmap": "{}"}}, {{"type": "NFKC"}}, {{"type": "Replace",
                      "pattern": {{"Regex": " {{2,}}"}}, "content": " "}}]}},
                      "pre_tokenizer": {{"type": "Metaspace", "replacement": "{}",
                      "prepend_scheme": "first"}}, "decoder": null, "model": {{"type": "Unigram",
                      "unk_id": 0, "vocab": [["<unk>", 0.0], ["{}", -2.0], ["ab", -3.5]]}}}})",
                  to_base64(map), space, space));
  write_file_atomically(dir + "/charsmap/two", map);

  sentencepiece::ModelProto proto;
  for (const char* text : {"<unk>", "<s>", "\xE2\x96\x81", "a", "b", "ab"}) {
    auto* piece = proto.add_pieces();
    piece->set_piece(text);
    piece->set_score(-static_cast<float>(proto.pieces_size()));
  }
  proto.mutable_pieces(0)->set_type(sentencepiece::Piece::UNKNOWN);
  proto.mutable_pieces(1)->set_type(sentencepiece::Piece::CONTROL);
  proto.mutable_normalizer_spec()->set_precompiled_charsmap(map);
  write_file_atomically(dir + "/sentencepiece/unigram", proto.SerializeAsString());
  proto.mutable_trainer_spec()->set_model_type(sentencepiece::Trainer::BPE);
  proto.mutable_pieces(5)->set_type(sentencepiece::Piece::UNUSED);
  write_file_atomically(dir + "/sentencepiece/bpe", proto.SerializeAsString());
  write_file_atomically(
      dir + "/tokenizer/sentencepiece",
      data::SentencePieceTokenizer(data::parse_sentence_piece(proto.SerializeAsString(), "seed"))
          .to_config()
          .to_json());
}

void make_chat_templates(const std::string& dir) {
  write_file_atomically(
      dir + "/chat/chatml",
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] ~ '\\n' }}{{ m.content | trim }}\n"
      "{% endfor %}{%- if add_generation_prompt %}\n  {{- bos_token }}{% else %}x{% endif %}");
  write_file_atomically(
      dir + "/chat/rest",
      "{%- macro f(a, b=[1, 2.5]) -%}{{ a[::-1] }}{{ b | tojson(indent=2) }}{%- endmacro %}"
      "{% set ns = namespace(x={'k': (1, none)}) %}{# c #}{% for i in range(1, n) if i is odd %}"
      "{{ loop.index if not loop.last else f('ab') }}{% set ns.x = i ** 2 // 3 %}{% break %}"
      "{% else %}{{ raise_exception('no') }}{% endfor %}{% raw %}{{ }}{% endraw %}"
      "{% set t %}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') "
      "| join(', ') | upper }}{% endset %}{{ t.split(' ', 1)[0] }}{{ strftime_now('%d') }}");
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

// Of fuzz_corpus: the kind's number first.
void make_corpora(const std::string& dir) {
  const auto write = [&](char kind, const std::string& name, const std::string& text) {
    write_file_atomically(dir + "/corpus/" + name, kind + text);
  };
  const std::string lines = "{\"text\": \"one\"}\n\n{\"id\": [1, {}], \"text\": \"t\\u00fcr\"}\r\n";
  const auto packed = [&](const std::string& text) {  // RFC 1952: a header, deflate, CRC and size
    const uLong sum =
        crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
    return std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10) + data::deflated(text) +
           data::little_endian(sum, 4) + data::little_endian(text.size(), 4);
  };
  write(0, "jsonl", lines);
  write(1, "jsonl-gz", packed(lines));
  write(2, "paragraphs", "one\ntwo\n\n \nthree");
  write(3, "lines", "one\ntwo\n\n \nthree");
  write(4, "text", "one\ntwo\n\n \nthree");
  write(5, "lines-gz", packed("one\ntwo\n"));
  write(6, "tar", data::tar_of({{"a.txt", "one"}, {"a.json", "{}"}, {"b.txt", "two"}}));
}

void make_shards(const std::string& dir) {
  const data::ByteTokenizer tokenizer;
  const std::string digest = data::tokenizer_digest(tokenizer);
  const data::ShardHeader one =
      data::write_shard(dir + "/shard/one", {{'h', 'i', 256}, {0}, 2, false}, tokenizer, digest);
  data::write_shard(dir + "/shard/two", {{'h', 'i', 256, 'y', 256}, {0, 3}, 3, false}, tokenizer,
                    digest);
  data::write_shard(dir + "/shard/continues", {{'h', 'i', 256, 'y', 256}, {3}, 3, true}, tokenizer,
                    digest);
  data::write_shard(dir + "/shard/empty", {}, tokenizer, digest);
  const data::ShardEntry entry{data::shard_name(0), one.tokens, one.documents, one.text_bytes,
                               one.content_sum};
  write_file_atomically(dir + "/index/one",
                        data::shard_index({entry}, tokenizer, digest).to_json(1));
  write_file_atomically(dir + "/index/none", data::shard_index({}, tokenizer, digest).to_json());
}

void make_states(const std::string& dir) {
  recipes::TrainState state;
  state.step = 12;
  state.seed = 7;
  state.items = 3456;
  state.data = parse_json("{\"step\": 12, \"stream\": {\"file\": 1, \"offset\": 77}}", "seed");
  write_file_atomically(dir + "/state/first", recipes::serialize_state(state));
  state.has_best = true;
  state.best_step = 8;
  state.best_value = 1.25;
  state.best_metrics = state.last_metrics = {{"loss", 1.25}, {"accuracy", 0.5}};
  state.baselines = {{"unigram.loss", 3.5}};
  state.seconds = 1.5;
  state.mesh = {2, 1, 2, 1};
  write_file_atomically(dir + "/state/later", recipes::serialize_state(state));
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
  for (const char* kind : {"safetensors", "npy", "npz", "idx", "json", "yaml", "tokenizer",
                           "sentencepiece", "charsmap", "chat", "tar", "zip", "torch", "image",
                           "delimited", "corpus", "shard", "index", "state"}) {
    heed::make_directories(dir + "/" + kind);
  }
  heed::make_tensor_files(dir);
  heed::make_texts(dir);
  heed::make_tokenizers(dir);
  heed::make_pipelines(dir);
  heed::make_chat_templates(dir);
  heed::make_archives(dir);
  heed::make_torch_files(dir);
  heed::make_images(dir);
  heed::make_tables(dir);
  heed::make_corpora(dir);
  heed::make_shards(dir);
  heed::make_states(dir);
  return 0;
}
