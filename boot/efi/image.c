/*
 * The hypervisor's ELF file: see image.h. Called by main.c; no state.
 *
 * Reading ELF is hv/load/elf.c's, which distrusts every field. What is left is the multiboot2
 * header (Multiboot2 Specification 2.0, "OS image format").
 */
#include "boot/efi/image.h"
#include "hv/lib/bytes.h"

enum {
	SEARCH = 32768,
	MAGIC = 0xe85250d6,
	HEADER = 16,
	TAG_HEADER = 8,
	TAG_END = 0,
	TAG_RELOCATABLE = 10,
	RELOCATABLE_SIZE = 24,
};
#define MOST MIB(512) /* of memory, for a hypervisor of some MiB */

/* elf.c takes its file and its words from a plan. */
static struct load_plan plan_of(const struct image *image, struct refusal *r)
{
	return (struct load_plan){.img = &image->file, .r = r};
}

static const uint8_t *find_header(const uint8_t *data, uint64_t size, uint32_t *len)
{
	uint64_t end = size < SEARCH ? size : SEARCH;

	for (uint64_t at = 0; bytes_within(at, HEADER, end); at += 8) {
		const uint8_t *h = data + at;

		*len = get_le32(h + 8);
		if (get_le32(h) == MAGIC && bytes_within(at, *len, end) &&
		    get_le32(h) + get_le32(h + 4) + *len + get_le32(h + 12) == 0) {
			return h;
		}
	}
	return NULL;
}

/* The header's tag 10; false: it has none. */
static bool read_relocatable(struct image *image, const uint8_t *header, uint32_t len)
{
	uint64_t at = HEADER;

	while (bytes_within(at, TAG_HEADER, len)) {
		const uint8_t *tag = header + at;
		uint32_t size = get_le32(tag + 4);

		if (size < TAG_HEADER || !bytes_within(at, size, len) || get_le16(tag) == TAG_END) {
			return false;
		}
		if (get_le16(tag) == TAG_RELOCATABLE && size >= RELOCATABLE_SIZE) {
			image->min = get_le32(tag + 8);
			image->max = get_le32(tag + 12);
			image->align = get_le32(tag + 16);
			return true;
		}
		at = ALIGN_UP(at + size, 8);
	}
	return false;
}

static bool check_placement(const struct image *image, struct load_plan *p)
{
	if (image->high - image->low > MOST) {
		return plan_refuse(p, "wants %lu MiB of memory; that is no hypervisor of ours",
				   ((image->high - image->low) >> 20));
	}
	if (image->align < PAGE_SIZE || image->align & (image->align - 1) ||
	    image->low & (image->align - 1) || image->max < image->high - image->low) {
		return plan_refuse(p,
				   "its multiboot2 header allows no place (align 0x%x, max 0x%x)",
				   image->align, image->max);
	}
	return true;
}

bool image_open(struct image *image, const char *name, const uint8_t *data, uint64_t size,
		struct refusal *r)
{
	struct load_plan p;
	const uint8_t *header;
	uint32_t len;

	memset(image, 0, sizeof(*image));
	image->file.kernel = (struct load_file){data, size, name, ""};
	p = plan_of(image, r);
	if (!elf_open(&image->elf, &p) || !elf_extent(&image->elf, &p, &image->low, &image->high) ||
	    !elf_entry(&image->elf, &p, &image->entry)) {
		return false;
	}
	header = find_header(data, size, &len);
	if (!header || !read_relocatable(image, header, len)) {
		return plan_refuse(
			&p, "not Mullion: no relocatable multiboot2 header in its first 32 KiB");
	}
	return check_placement(image, &p);
}

bool image_copy(const struct image *image, uint8_t *memory, struct refusal *r)
{
	struct load_plan p = plan_of(image, r);

	for (uint32_t i = 0; i < image->elf.phnum; i++) {
		struct elf_segment s;
		bool load;

		if (!elf_segment(&image->elf, &p, i, &s, &load)) {
			return false;
		}
		if (load) {
			memcpy(memory + (s.paddr - image->low), image->elf.f->data + s.offset,
			       s.filesz);
		}
	}
	return true;
}
