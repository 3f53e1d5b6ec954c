/*
 * The hypervisor's ELF file: see image.h. Called by main.c; no state.
 *
 * Reading ELF is hv/load/elf.c's, which distrusts every field. What is left is the multiboot2
 * header (Multiboot2 Specification 2.0, "OS image format").
 */
#include "boot/efi/image.h"
#include "hv/load/multiboot2.h"

#define MOST MIB(512) /* of memory, for a hypervisor of some MiB */

/* elf.c takes its file and its words from a plan. */
static struct load_plan plan_of(const struct image *image, struct refusal *r)
{
	return (struct load_plan){.img = &image->file, .r = r};
}

/* The header's tag 10; false: it has none. */
static bool read_relocatable(struct image *image, const uint8_t *header, uint32_t len)
{
	uint64_t at = MULTIBOOT2_HEADER;

	while (bytes_within(at, TAG_HEADER, len)) {
		const uint8_t *tag = header + at;
		uint32_t size = get_le32(tag + 4);

		if (size < TAG_HEADER || !bytes_within(at, size, len) || get_le16(tag) == TAG_END) {
			return false;
		}
		if (get_le16(tag) == TAG_RELOCATABLE && size >= TAG_RELOCATABLE_SIZE) {
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
				   (image->high - image->low) >> 20);
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
	uint64_t at;

	memset(image, 0, sizeof(*image));
	image->file.kernel = (struct load_file){data, size, name, ""};
	p = plan_of(image, r);
	if (!elf_open(&image->elf, &p) || !elf_extent(&image->elf, &p, &image->low, &image->high) ||
	    !elf_entry(&image->elf, &p, &image->entry)) {
		return false;
	}
	if (!multiboot2_find(data, size, &at) || !bytes_within(at, get_le32(data + at + 8), size) ||
	    !read_relocatable(image, data + at, get_le32(data + at + 8))) {
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
