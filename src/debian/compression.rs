//! How the files of an archive are packed.

use std::io::{self, BufRead, Read};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_compression::codecs;
use async_compression::futures::bufread;
use futures_util::io::{AllowStdIo, AsyncRead};

/// What an xz or lzma stream may take to unpack, in bytes: twice what `xz -9`
/// asks for. zstd refuses windows above 128 MiB on its own, and the others
/// have no window to speak of.
const MEMORY: u64 = 128 << 20;

/// A way to pack a file, told by its name's extension (Debian wiki,
/// `RepositoryFormat`, "compression of indices").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As it is.
    None,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.xz`
    Xz,
    /// `.lzma`: what xz was before it had checksums.
    Lzma,
    /// `.zst`
    Zstd,
    /// `.lz4`
    Lz4,
}

impl Compression {
    const EXTENSIONS: [(&str, Self); 6] = [
        (".gz", Self::Gzip),
        (".bz2", Self::Bzip2),
        (".xz", Self::Xz),
        (".lzma", Self::Lzma),
        (".zst", Self::Zstd),
        (".lz4", Self::Lz4),
    ];

    /// Splits a path into what it is called unpacked and how it is packed:
    /// `main/binary-amd64/Packages` and [`Compression::Xz`].
    #[must_use]
    pub fn split(path: &str) -> (&str, Self) {
        Self::EXTENSIONS
            .into_iter()
            .find_map(|(extension, compression)| {
                let stem = path.strip_suffix(extension)?;
                (!stem.is_empty() && !stem.ends_with('/')).then_some((stem, compression))
            })
            .unwrap_or((path, Self::None))
    }

    /// The cheapest to unpack has the lowest number, of no unit.
    #[must_use]
    pub const fn cost(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
            Self::Gzip => 3,
            Self::Xz => 4,
            Self::Lzma => 5,
            Self::Bzip2 => 6,
        }
    }
}

/// Why a file does not unpack. It comes wrapped in an [`io::Error`] of kind
/// `UnexpectedEof` where the file just ends, of the kind of the source's own
/// error, or of a kind like `InvalidData`.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// More comes out than the caller takes.
    #[error("the file unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// Truncated or broken, or the source can't be read.
    #[error("the {0:?} file does not unpack: {1}")]
    Broken(Compression, io::Error),
}

/// Unpacks `source` while it is read, in memory of about 130 MiB at most.
///
/// Files that are several packed files one after the other unpack to all of
/// them. A truncated one is an error at its end; so is the byte after
/// `limit` bytes that came out. After an error there are only errors.
/// It is as fast as the buffers are large: 64 KiB for both sides do.
#[must_use]
pub fn unpack<R: BufRead + Send + 'static>(
    source: R,
    compression: Compression,
    limit: u64,
) -> Box<dyn Read + Send> {
    let source = AllowStdIo::new(source);
    macro_rules! members {
        ($decoder:expr) => {{
            let mut decoder = $decoder;
            decoder.multiple_members(true);
            Box::pin(decoder)
        }};
    }
    let decoder: Pin<Box<dyn AsyncRead + Send>> = match compression {
        Compression::None => Box::pin(source),
        Compression::Gzip => members!(bufread::GzipDecoder::new(source)),
        Compression::Bzip2 => members!(bufread::BzDecoder::new(source)),
        Compression::Xz => members!(bufread::XzDecoder::with_mem_limit(source, MEMORY)),
        Compression::Lzma => Box::pin(bufread::LzmaDecoder::with_codec(
            source,
            codecs::LzmaDecoder::with_memlimit(MEMORY),
        )),
        Compression::Zstd => members!(bufread::ZstdDecoder::new(source)),
        Compression::Lz4 => members!(bufread::Lz4Decoder::new(source)),
    };
    Box::new(Unpacked {
        decoder,
        compression,
        limit,
        left: limit,
        failed: false,
    })
}

/// A decoder of the async library read by a thread: its source is a blocking
/// one and never pending.
struct Unpacked {
    decoder: Pin<Box<dyn AsyncRead + Send>>,
    compression: Compression,
    limit: u64,
    left: u64,
    failed: bool,
}

impl Unpacked {
    fn advance(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let broken = |error: io::Error| {
            let error = match (self.compression, error.kind()) {
                // liblzma's LZMA_BUF_ERROR, "no progress is possible", comes as this.
                (Compression::Xz | Compression::Lzma, io::ErrorKind::OutOfMemory) => {
                    io::Error::from(io::ErrorKind::UnexpectedEof)
                }
                _ => error,
            };
            io::Error::new(error.kind(), UnpackError::Broken(self.compression, error))
        };
        if self.failed {
            return Err(broken(io::Error::from(io::ErrorKind::InvalidData)));
        }
        let mut context = Context::from_waker(Waker::noop());
        let count = match self.decoder.as_mut().poll_read(&mut context, into) {
            Poll::Ready(outcome) => outcome.map_err(broken)?,
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let too_large = || {
            let error = UnpackError::TooLarge(self.limit);
            io::Error::new(io::ErrorKind::InvalidData, error)
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(too_large)?;
        Ok(count)
    }
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let outcome = self.advance(into);
        // The library's decoders answer a failure once, then with an end.
        self.failed |= outcome.is_err();
        outcome
    }
}

#[cfg(test)]
mod tests;
