#include "data/text_classification.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "core/files.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/delimited.h"
#include "data/permutation.h"
#include "data/text_source.h"
#include "data/unicode.h"
#include "data/word_tokenizer.h"

namespace heed::data {
namespace {

std::unique_ptr<Tokenizer> make_tokenizer(const ClassTokenizerOptions& options,
                                          const LabelledTexts& texts, const SourceLocation& where) {
  if (!options.file.empty()) return load_tokenizer(expand_path(options.file, where));
  if (options.type == "bytes") return std::make_unique<ByteTokenizer>();
  std::vector<std::string_view> train;
  for (const LabelledText& text : texts.train) train.emplace_back(text.text);
  if (options.type == "words") {
    return std::make_unique<WordTokenizer>(
        WordTokenizer::from_texts(train, options.min_count, options.vocab_size));
  }
  if (options.type == "bpe") {
    return std::make_unique<BpeTokenizer>(train_bpe(train, {.vocab_size = options.vocab_size}));
  }
  for (const auto* part : {&texts.validation, &texts.test}) {
    for (const LabelledText& text : *part) train.emplace_back(text.text);
  }
  return std::make_unique<CharTokenizer>(CharTokenizer::from_texts(train));
}

// Moves `count` texts, drawn evenly, to a list of their own; the order of both stays.
std::vector<LabelledText> draw_out(std::vector<LabelledText>& texts, int64_t count,
                                   std::string_view purpose) {
  std::vector<LabelledText> stay, drawn;
  if (texts.empty()) return drawn;
  const Permutation order({0, hash_name(purpose), 0}, texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool moves = static_cast<int64_t>(order(i)) < count;
    (moves ? drawn : stay).push_back(std::move(texts[i]));
  }
  texts = std::move(stay);
  return drawn;
}

// Token ids of the texts of a part, end to end.
struct Examples {
  std::vector<TokenId> ids;
  std::vector<int64_t> begins = {0};
  std::vector<int64_t> labels;
};

class TextExamples : public LabelledDataset {
 public:
  TextExamples(const LabelledTexts& texts, std::vector<std::string> class_names,
               const LabelledTextOptions& options, const SourceLocation& where) {
    class_names_ = std::move(class_names);
    tokenizer_ = make_tokenizer(options.tokenizer, texts, where);
    const std::vector<LabelledText>* lists[] = {&texts.train, &texts.validation, &texts.test};
    for (size_t p = 0; p < 3; ++p) {
      for (const LabelledText& text : *lists[p]) add(text, options.max_length, parts_[p]);
    }
    summary_ = fmt::format(
        "{} texts for training, {} for validation, {} for testing; {} classes; "
        "tokenizer {} of {}",
        size(Part::train), size(Part::validation), size(Part::test), classes(), tokenizer_->type(),
        tokenizer_->vocab_size());
  }

  const char* kind() const override { return "texts"; }
  int64_t size(Part part) const override { return static_cast<int64_t>(of(part).labels.size()); }
  int64_t label(Part part, int64_t example) const override {
    return of(part).labels.at(static_cast<size_t>(example));
  }
  Shape example_shape() const override { return {longest_}; }
  const Tokenizer* tokenizer() const override { return tokenizer_.get(); }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    const Examples& examples = of(part);
    const auto count = static_cast<int64_t>(rows.size());
    int64_t longest = 1;
    for (const ExampleRow& row : rows) longest = std::max(longest, length(examples, row.example));
    TextBatch batch;
    batch.ids = Tensor::full({count, longest}, static_cast<double>(padding()), DType::i64);
    batch.lengths = Tensor::empty({count}, DType::i64);
    batch.labels = Tensor::empty({count}, DType::i64);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t example = rows[static_cast<size_t>(i)].example;
      batch.lengths.data<int64_t>()[i] = length(examples, example);
      batch.labels.data<int64_t>()[i] = example < 0 ? kIgnoreTarget : label(part, example);
      if (example < 0) continue;
      ++batch.count;
      std::copy_n(examples.ids.begin() + examples.begins[static_cast<size_t>(example)],
                  length(examples, example), batch.ids.data<int64_t>() + i * longest);
    }
    return batch;
  }

 private:
  const Examples& of(Part part) const { return parts_[static_cast<size_t>(part)]; }

  static int64_t length(const Examples& examples, int64_t example) {
    if (example < 0) return 1;
    HEED_CHECK(example < static_cast<int64_t>(examples.labels.size()), "texts: example {} of {}",
               example, examples.labels.size());
    const auto i = static_cast<size_t>(example);
    return examples.begins[i + 1] - examples.begins[i];
  }

  void add(const LabelledText& text, int64_t max_length, Examples& examples) {
    HEED_CHECK(text.label >= 0 && text.label < classes(), "texts: label {} of {} classes",
               text.label, classes());
    std::vector<TokenId> ids = tokenizer_->encode(text.text);
    if (ids.empty()) ids.push_back(static_cast<TokenId>(padding()));
    if (static_cast<int64_t>(ids.size()) > max_length) ids.resize(static_cast<size_t>(max_length));
    longest_ = std::max(longest_, static_cast<int64_t>(ids.size()));
    examples.ids.insert(examples.ids.end(), ids.begin(), ids.end());
    examples.begins.push_back(static_cast<int64_t>(examples.ids.size()));
    examples.labels.push_back(text.label);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Examples parts_[3];
  int64_t longest_ = 1;
};

std::string decoded(std::string text, const std::string& encoding) {
  if (encoding != "latin-1") return text;
  std::string out;
  for (const char c : text) append_code_point(out, static_cast<unsigned char>(c));
  return out;
}

// A row of a table as its label and text.
struct Row {
  std::string label, text;
  SourceLocation where;
};

class TableReader {
 public:
  explicit TableReader(const TextTableOptions& options) : options_(options) {}

  std::vector<Row> read(const std::vector<std::string>& patterns, const SourceLocation& where) {
    std::vector<Row> rows;
    if (patterns.empty()) return rows;
    for (const std::string& path : find_text_files(patterns, where)) {
      const std::string format = format_of(path, where);
      const std::string text = decoded(read_file(path), options_.texts.encoding);
      if (format == "jsonl") {
        read_json_lines(text, path, rows);
      } else {
        read_records(format == "csv" ? parse_csv(text, path) : parse_tsv(text), path, rows);
      }
    }
    return rows;
  }

 private:
  std::string format_of(const std::string& path, const SourceLocation& where) const {
    if (!options_.format.empty()) return options_.format;
    for (const char* format : {"csv", "tsv", "jsonl"}) {
      if (path.ends_with(std::string(".") + format)) return format;
    }
    fail_request(where,
                 fmt::format("'{}' does not end in .csv, .tsv or .jsonl: say its format", path));
  }

  size_t column_of(const std::string& name, const Record& first, const std::string& path) const {
    if (options_.header) {
      const auto found = std::find(first.fields.begin(), first.fields.end(), name);
      if (found != first.fields.end()) return static_cast<size_t>(found - first.fields.begin());
      fail_request(SourceLocation{path, first.line},
                   fmt::format("no column '{}'{}", name, did_you_mean(name, first.fields)));
    }
    size_t column = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), column);
    if (error != std::errc() || end != name.data() + name.size()) {
      fail_request("'{}' is no column number; names need header: true", name);
    }
    return column;
  }

  void read_records(const std::vector<Record>& records, const std::string& path,
                    std::vector<Row>& rows) const {
    if (records.empty()) return;
    const size_t label = column_of(options_.label, records[0], path);
    std::vector<size_t> columns;
    for (const std::string& name : options_.text) {
      columns.push_back(column_of(name, records[0], path));
    }
    const size_t needed = std::max(label, *std::max_element(columns.begin(), columns.end()));
    for (size_t i = options_.header ? 1 : 0; i < records.size(); ++i) {
      const SourceLocation place{path, records[i].line};
      if (records[i].fields.size() <= needed) {
        fail_request(place, fmt::format("{} fields; column {} is needed (from 0)",
                                        records[i].fields.size(), needed));
      }
      Row row{records[i].fields[label], "", place};
      for (const size_t column : columns) {
        if (!row.text.empty()) row.text += ' ';
        row.text += records[i].fields[column];
      }
      rows.push_back(std::move(row));
    }
  }

  void read_json_lines(const std::string& text, const std::string& path,
                       std::vector<Row>& rows) const {
    int line = 1;
    for (size_t at = 0; at < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string json = text.substr(at, end - at);
      at = end + 1;
      if (json.find_first_not_of(" \t\r") == json.npos) continue;
      const Config object = parse_json(json, fmt::format("{}:{}", path, line));
      const Config& label = object.at(options_.label);
      Row row{label.is_integer() ? std::to_string(label.as_integer()) : label.as_string(), "",
              SourceLocation{path, line}};
      for (const std::string& name : options_.text) {
        if (!row.text.empty()) row.text += ' ';
        row.text += object.at(name).as_string();
      }
      rows.push_back(std::move(row));
    }
  }

  const TextTableOptions& options_;
};

std::vector<std::string> classes_of(const std::vector<Row>& rows) {
  std::set<std::string> labels;
  for (const Row& row : rows) labels.insert(row.label);
  std::vector<std::string> names(labels.begin(), labels.end());
  const auto number = [](const std::string& name) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
    const bool whole = error == std::errc() && end == name.data() + name.size();
    return std::pair(whole, value);
  };
  if (std::all_of(names.begin(), names.end(), [&](const auto& n) { return number(n).first; })) {
    std::stable_sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
      return number(a).second < number(b).second;
    });
  }
  return names;
}

std::vector<LabelledText> with_classes(std::vector<Row> rows,
                                       const std::vector<std::string>& classes) {
  std::vector<LabelledText> texts;
  for (Row& row : rows) {
    const auto found = std::find(classes.begin(), classes.end(), row.label);
    if (found == classes.end()) {
      fail_request(row.where, fmt::format("the training rows have no label '{}'{}", row.label,
                                          did_you_mean(row.label, classes)));
    }
    texts.push_back({std::move(row.text), found - classes.begin()});
  }
  return texts;
}

}  // namespace

void ClassTokenizerOptions::options(Options& o) {
  o.field("type", type, "how text becomes tokens; the vocabulary is made from the training texts",
          {.one_of = {"words", "chars", "bytes", "bpe"}});
  o.field("vocab_size", vocab_size, "tokens at most, of words (the most frequent) or of a BPE",
          {.min = 257, .max = 1 << 20});
  o.field("min_count", min_count, "rarer words become the unknown token", {.min = 1});
  o.field("file", file, "a tokenizer.json to use instead; the type is then the file's");
}

void LabelledTextOptions::options(Options& o) {
  o.field("tokenizer", tokenizer, "how text becomes tokens");
  o.field("max_length", max_length, "tokens of a text; longer ones lose their end", {.min = 1});
  o.field("encoding", encoding, "of the files; in utf-8, stray bytes are kept as they are",
          {.one_of = {"utf-8", "latin-1"}});
  o.field("hold_out", hold_out, "fraction for validation, where no such part is given",
          {.min = 0, .below = 1});
  o.field("hold_out_test", hold_out_test, "fraction for testing, where no such part is given",
          {.min = 0, .below = 1});
  o.check(hold_out + hold_out_test < 1, "hold_out_test", "nothing would be left to train on");
  o.field("classes", classes, "names of the classes in their order");
}

void TextTableOptions::options(Options& o) {
  o.field("train", train, "files or glob patterns; ${NAME} is an environment variable",
          {.required = true});
  o.field("validation", validation, "files of the validation part");
  o.field("test", test, "files of the test part");
  o.field("format", format, "csv, tsv or jsonl; empty: by the file's name",
          {.one_of = {"", "csv", "tsv", "jsonl"}});
  o.field("header", header, "whether the first record of a CSV or TSV names the columns");
  o.field("label", label, "the label's column: a number from 0, or a name");
  o.field("text", text, "the text's columns, joined by a space");
  o.check(!text.empty(), "text", "text needs one column at least");
  texts.options(o);
}

void SentencesOptions::options(Options& o) {
  o.field("files", files, "one file a class, one text a line", {.required = true});
  o.check(files.size() >= 2, "files", "two files or more are needed: one a class");
  texts.options(o);
}

std::unique_ptr<LabelledDataset> make_labelled_texts(LabelledTexts texts,
                                                     std::vector<std::string> class_names,
                                                     const LabelledTextOptions& options,
                                                     const SourceLocation& where) {
  const auto total = static_cast<double>(texts.train.size());
  if (texts.test.empty()) {
    texts.test =
        draw_out(texts.train, static_cast<int64_t>(total * options.hold_out_test), "data/test");
  }
  if (texts.validation.empty()) {
    texts.validation =
        draw_out(texts.train, static_cast<int64_t>(total * options.hold_out), "data/validation");
  }
  if (texts.train.empty()) fail_request(where, "there are no texts to train on");
  if (!options.classes.empty()) {
    if (options.classes.size() != class_names.size()) {
      fail_request(where, fmt::format("{} names for {} classes", options.classes.size(),
                                      class_names.size()));
    }
    class_names = options.classes;
  }
  return std::make_unique<TextExamples>(texts, std::move(class_names), options, where);
}

std::unique_ptr<LabelledDataset> open_text_table(const TextTableOptions& options,
                                                 const SourceLocation& where) {
  TableReader reader(options);
  std::vector<Row> train = reader.read(options.train, where);
  const std::vector<std::string> classes = classes_of(train);
  return make_labelled_texts({with_classes(std::move(train), classes),
                              with_classes(reader.read(options.validation, where), classes),
                              with_classes(reader.read(options.test, where), classes)},
                             classes, options.texts, where);
}

std::unique_ptr<LabelledDataset> open_sentences(const SentencesOptions& options,
                                                const SourceLocation& where) {
  LabelledTexts texts;
  std::vector<std::string> classes;
  for (const std::string& name : options.files) {
    const std::string path = expand_path(name, where);
    const std::string text = decoded(read_file(path), options.texts.encoding);
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.ends_with('\r')) line.pop_back();
      if (line.find_first_not_of(" \t") == line.npos) continue;
      texts.train.push_back({std::move(line), static_cast<int64_t>(classes.size())});
    }
    classes.push_back(std::filesystem::path(path).filename().string());
  }
  return make_labelled_texts(std::move(texts), std::move(classes), options.texts, where);
}

}  // namespace heed::data
