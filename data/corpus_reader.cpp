#include "data/corpus_reader.h"

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/files.h"
#include "core/json_lines.h"
#include "data/tar.h"
#include "data/text_source.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

/// A file's bytes, unpacked where they are packed by gzip.
class UnpackedFile {
 public:
  UnpackedFile(const std::string& path, int64_t offset)
      : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr) fail_request("cannot open '{}'", path);
    gzbuffer(file_, 1 << 17);
    if (path.ends_with(".gz") && gzdirect(file_) != 0 && std::filesystem::file_size(path) > 0) {
      const std::string name = path;
      gzclose(file_);
      fail_request(SourceLocation{name}, "byte 0: not a gzip file, though its name ends in .gz");
    }
    if (offset > 0 && gzseek(file_, offset, SEEK_SET) < 0) refuse();
  }
  ~UnpackedFile() { gzclose(file_); }
  UnpackedFile(const UnpackedFile&) = delete;
  UnpackedFile& operator=(const UnpackedFile&) = delete;

  size_t read(char* to, size_t most) {
    const int got = gzread(file_, to, static_cast<unsigned>(most));
    int status = Z_OK;
    gzerror(file_, &status);
    if (got < 0 || (status != Z_OK && status != Z_STREAM_END)) refuse();
    return static_cast<size_t>(got);
  }
  int64_t packed_offset() const { return std::max<int64_t>(gzoffset(file_), 0); }

 private:
  [[noreturn]] void refuse() const {
    int status = Z_OK;
    const std::string why = gzerror(file_, &status);
    fail_request(SourceLocation{path_},
                 fmt::format("byte {} of the packed text: {}", packed_offset(),
                             status == Z_BUF_ERROR ? "the file is cut short" : why));
  }

  std::string path_;
  gzFile file_;
};

/// What the readers of lines and of whole texts share.
class TextFileReader : public CorpusReader::FileReader {
 public:
  TextFileReader(const std::string& path, const CorpusPlace& place)
      : file_(path, place.offset),
        lines_([this](char* to, size_t most) { return file_.read(to, most); }, path,
               {place.offset, place.line}) {}

  CorpusPlace place() const override {
    return {0, lines_.place().offset, lines_.place().line, false};
  }
  int64_t bytes_read() const override { return file_.packed_offset(); }

 protected:
  static constexpr auto kMost = static_cast<size_t>(CorpusReader::kMostBytes);

  UnpackedFile file_;
  LineReader lines_;
};

class JsonLines : public TextFileReader {
 public:
  JsonLines(const std::string& path, const CorpusPlace& place, const std::string& field)
      : TextFileReader(path, place), field_(field) {}

  Nul nul() const override { return Nul::allowed; }

  bool next(CorpusDocument& document) override {
    std::string line;
    for (;;) {
      document.where = lines_.where();
      if (!lines_.next(line, kMost)) return false;
      if (line.find_first_not_of(" \t") == line.npos) continue;
      document.text = json_document(line, field_, document.where);
      return true;
    }
  }

 private:
  std::string field_;
};

class TextLines : public TextFileReader {
 public:
  TextLines(const std::string& path, const CorpusPlace& place, bool paragraphs)
      : TextFileReader(path, place), paragraphs_(paragraphs) {}

  Nul nul() const override { return Nul::ends_file; }

  // A paragraph is read with the blank line behind it, so that the reader stands between two.
  bool next(CorpusDocument& document) override {
    std::string line;
    document.text.clear();
    document.where = lines_.where();
    while (lines_.next(line, kMost)) {
      const bool blank = line.find_first_not_of(" \t") == line.npos;
      if (blank && document.text.empty()) {
        document.where = lines_.where();
        continue;
      }
      if (blank) return true;
      document.text += line;
      document.text += '\n';
      if (!paragraphs_) return true;
      if (document.text.size() > kMost) {
        fail_request(document.where, fmt::format("a paragraph of more than {}",
                                                 format_bytes(CorpusReader::kMostBytes)));
      }
    }
    return !document.text.empty();
  }

 private:
  bool paragraphs_;
};

class WholeText : public TextFileReader {
 public:
  WholeText(const std::string& path, const CorpusPlace& place)
      : TextFileReader(path, place), path_(path), within_(place.within) {}

  Nul nul() const override { return Nul::ends_file; }

  bool next(CorpusDocument& document) override {
    document.where = {path_};
    document.continues = within_;
    // What the cut leaves over is taken up again.
    std::string bytes;
    const auto piece = static_cast<size_t>(CorpusReader::kPiece);
    const std::string_view ahead = lines_.peek(piece + 1);
    size_t size = ahead.size();
    if (size > piece) {
      const size_t line = ahead.substr(0, piece).rfind('\n');
      size = line == ahead.npos ? std::max<size_t>(floor_to_character(ahead, piece), 1) : line + 1;
    }
    if (size == 0 || !lines_.next_bytes(bytes, size)) return false;
    document.text = std::move(bytes);
    within_ = true;
    return true;
  }
  CorpusPlace place() const override {
    CorpusPlace place = TextFileReader::place();
    place.within = within_;
    return place;
  }

 private:
  std::string path_;
  bool within_;
};

class TarTexts : public CorpusReader::FileReader {
 public:
  TarTexts(const std::string& path, const CorpusPlace& place)
      : path_(path),
        file_(path),
        members_(index_tar(file_.bytes(), path)),
        at_(static_cast<size_t>(place.offset)) {
    std::erase_if(members_, [](const TarMember& m) { return !m.name.ends_with(".txt"); });
  }

  Nul nul() const override { return Nul::ends_document; }

  bool next(CorpusDocument& document) override {
    if (at_ >= members_.size()) return false;
    const TarMember& member = members_[at_++];
    document.where = {path_ + ":" + member.name};
    if (member.size > CorpusReader::kMostBytes) {
      fail_request(document.where,
                   fmt::format("a text of {}; up to {} are read", format_bytes(member.size),
                               format_bytes(CorpusReader::kMostBytes)));
    }
    const auto bytes =
        file_.bytes().subspan(static_cast<size_t>(member.offset), static_cast<size_t>(member.size));
    document.text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    file_.release(bytes);
    read_ = member.offset + member.size;
    return true;
  }
  CorpusPlace place() const override { return {0, static_cast<int64_t>(at_), 1, false}; }
  int64_t bytes_read() const override { return read_; }

 private:
  std::string path_;
  MappedFile file_;
  std::vector<TarMember> members_;
  size_t at_;
  int64_t read_ = 0;
};

enum class Format { lines_of_json, tar, text };

/// By the name.
Format format_of(const std::string& path) {
  const std::string name = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson")) return Format::lines_of_json;
  if (name.ends_with(".tgz") || (name.ends_with(".tar") && name != path)) {
    fail_request(SourceLocation{path}, "a packed archive: unpack it to .tar, which is mapped");
  }
  return name.ends_with(".tar") ? Format::tar : Format::text;
}

/// Whether a file is one of text, by its name or by how it begins.
bool begins_as_text(const std::string& path) {
  if (format_of(path) != Format::text) return true;
  std::string first(size_t{1} << 16, '\0');
  first.resize(UnpackedFile(path, 0).read(first.data(), first.size()));
  return first.find('\0') == first.npos;
}

std::unique_ptr<CorpusReader::FileReader> open_file(const std::string& path,
                                                    const CorpusOptions& options,
                                                    const CorpusPlace& place) {
  const Format format = format_of(path);
  if (format == Format::lines_of_json) {
    return std::make_unique<JsonLines>(path, place, options.field);
  }
  if (format == Format::tar) return std::make_unique<TarTexts>(path, place);
  if (options.documents == "file") return std::make_unique<WholeText>(path, place);
  return std::make_unique<TextLines>(path, place, options.documents == "paragraph");
}

}  // namespace

void CorpusOptions::options(Options& o) {
  o.field("field", field, "the member of each line's object that is a document, in .jsonl files");
  o.field("documents", documents,
          "what a document of a text file is: all of it, each paragraph (blank lines lie between "
          "them) or each line",
          {.one_of = {"file", "paragraph", "line"}});
}

std::string json_document(const std::string& json, const std::string& field,
                          const SourceLocation& where) {
  const Config object = parse_json_line(json, where.file, where.line);
  if (!object.is_map()) {
    fail_request(object.where(), fmt::format("a line must be an object with a member '{}', not {}",
                                             field, object.summary()));
  }
  const Config* text = object.find(field);
  if (text == nullptr) {
    fail_request(object.where(),
                 fmt::format("no member '{}'{}", field, did_you_mean(field, object.keys())));
  }
  return text->as_string();
}

CorpusReader::CorpusReader(const CorpusOptions& options, const SourceLocation& where)
    : options_(options) {
  for (const std::string& file : find_text_files(options.files, where)) {
    if (!begins_as_text(file)) {
      pass_over(file);
      continue;
    }
    files_.push_back(file);
    sizes_.push_back(static_cast<int64_t>(std::filesystem::file_size(file)));
    bytes_ += sizes_.back();
  }
}

CorpusReader::~CorpusReader() = default;
CorpusReader::CorpusReader(CorpusReader&&) noexcept = default;

void CorpusReader::pass_over(const std::string& what) {
  if (std::find(skipped_.begin(), skipped_.end(), what) == skipped_.end()) skipped_.push_back(what);
}

// Whether the document that begins at `offset` is text; where it is none, what it ends has ended.
bool CorpusReader::is_text(const CorpusDocument& document, int64_t offset) {
  const FileReader::Nul nul = reader_->nul();
  if (nul == FileReader::Nul::allowed || document.text.find('\0') == std::string::npos) return true;
  if (nul == FileReader::Nul::ends_document) {
    pass_over(document.where.file);
    return false;
  }
  pass_over(fmt::format("{} from byte {} on", files_[static_cast<size_t>(file_)], offset));
  reader_.reset();
  ++file_;
  return false;
}

bool CorpusReader::next(CorpusDocument& document) {
  while (file_ < static_cast<int64_t>(files_.size())) {
    if (!reader_) reader_ = open_file(files_[static_cast<size_t>(file_)], options_, {});
    document.continues = false;
    const int64_t offset = reader_->place().offset;
    if (reader_->next(document)) {
      if (document.text.empty() || !is_text(document, offset)) continue;
      return true;
    }
    reader_.reset();
    ++file_;
  }
  return false;
}

CorpusPlace CorpusReader::place() const {
  CorpusPlace place = reader_ ? reader_->place() : CorpusPlace{};
  place.file = file_;
  return place;
}

void CorpusReader::seek(const CorpusPlace& place) {
  HEED_CHECK(place.file >= 0 && place.file <= static_cast<int64_t>(files_.size()) &&
                 place.offset >= 0 && place.line >= 1,
             "corpus: file {}, byte {} is no place in {} files", place.file, place.offset,
             files_.size());
  file_ = place.file;
  reader_.reset();
  if (file_ < static_cast<int64_t>(files_.size())) {
    reader_ = open_file(files_[static_cast<size_t>(file_)], options_, place);
  }
}

int64_t CorpusReader::bytes_read() const {
  int64_t sum = reader_ ? reader_->bytes_read() : 0;
  for (int64_t i = 0; i < file_; ++i) sum += sizes_[static_cast<size_t>(i)];
  return sum;
}

}  // namespace heed::data
