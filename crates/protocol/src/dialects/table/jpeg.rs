/// Most segments that are looked at before the one with the size.
const SEGMENTS_MAX: usize = 256;

/// Width and height of a JPEG, in pixels, from its frame header (ITU-T T.81, B.2.2).
pub(super) fn size(image: &[u8]) -> Option<(u16, u16)> {
    let mut rest = image.strip_prefix(&[0xff, 0xd8])?;
    for _ in 0..SEGMENTS_MAX {
        // A marker may be preceded by any number of fill bytes.
        let after = rest.strip_prefix(&[0xff])?;
        let fill = after.iter().take_while(|byte| **byte == 0xff).count();
        let (marker, segment) = after.get(fill..)?.split_first()?;
        match marker {
            // Parameters of arithmetic, Huffman and expansion share the range of frame headers.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return frame_size(segment),
            // The image's data begin, or it ends: the size did not come.
            0xd9 | 0xda => return None,
            // Markers without parameters.
            0x01 | 0xd0..=0xd7 => rest = segment,
            _ => rest = segment.get(usize::from(word(segment)?)..)?,
        }
    }
    None
}

/// Length, precision, height, width; a height of 0 comes later, behind the first scan.
fn frame_size(segment: &[u8]) -> Option<(u16, u16)> {
    let (height, width) = (word(segment.get(3..)?)?, word(segment.get(5..)?)?);
    (height > 0 && width > 0).then_some((width, height))
}

fn word(bytes: &[u8]) -> Option<u16> {
    let word = bytes.get(..2)?;
    Some(u16::from_be_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut image = vec![0xff, 0xd8];
        // An APP1 segment with something in it that looks like a frame header.
        image.extend([0xff, 0xe1, 0, 9, 0xff, 0xc0, 0, 5, 8, 1, 1]);
        // Fill bytes, tables.
        image.extend([0xff, 0xff, 0xff, 0xc4, 0, 3, 0]);
        image.extend([0xff, 0xc2, 0, 17, 8]);
        image.extend(height.to_be_bytes());
        image.extend(width.to_be_bytes());
        image.extend([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda]);
        image
    }

    #[test]
    fn the_size_stands_in_the_frame_header() {
        assert_eq!(size(&jpeg(1920, 1080)), Some((1920, 1080)));
        assert_eq!(size(&jpeg(1, 65_535)), Some((1, 65_535)));
        assert_eq!(size(&jpeg(640, 0)), None);
        let whole = jpeg(640, 480);
        for end in 0..whole.len() - 14 {
            assert_eq!(size(&whole[..end]), None, "{end}");
        }
        assert_eq!(size(b"\x89PNG"), None);
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 0]), None);
        assert_eq!(size(&[&[0xff, 0xd8][..], &[0xff, 0xd0].repeat(100_000)].concat()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            size(&bytes);
            size(&[&[0xff, 0xd8, 0xff], &bytes[..]].concat());
        }
    }
}
