/*
 * Multiboot 1 images (Multiboot Specification 0.6.96). Called by load_guest.
 *
 * Loaded by the header's address fields where its bit 16 says so, else as ELF, of 32 or 64 bits.
 * A video mode request (bit 2) is let pass without video information, as GRUB and QEMU do: there
 * is no screen, and kernels that ask can mostly do without.
 */
#include "hv/lib/bytes.h"
#include "hv/load/elf.h"
#include "hv/load/multiboot.h"

enum { SEARCH = 8192, HEADER_MAGIC = 0x1badb002, ENTRY_MAGIC = 0x2badb002 };
enum header_flag {
	FLAG_ALIGN = BIT(0), /* modules always are */
	FLAG_MEMORY = BIT(1),
	FLAG_VIDEO = BIT(2),
	FLAG_REQUIRED = FIELD(15, 0),
	FLAG_ADDRESSES = BIT(16),
};
enum { HEADER_SIZE = 12, HEADER_SIZE_ADDRESSES = 32 };

/* The information block: offsets, and the flags for what is in it. */
enum info {
	INFO_FLAGS = 0,
	INFO_MEM_LOWER = 4,
	INFO_MEM_UPPER = 8,
	INFO_CMDLINE = 16,
	INFO_MODS_COUNT = 20,
	INFO_MODS_ADDR = 24,
	INFO_MMAP_LENGTH = 44,
	INFO_MMAP_ADDR = 48,
	INFO_LOADER_NAME = 64,
	INFO_SIZE = 116,
};
enum info_flag {
	HAS_MEMORY = BIT(0),
	HAS_CMDLINE = BIT(2),
	HAS_MODS = BIT(3),
	HAS_MMAP = BIT(6),
	HAS_LOADER_NAME = BIT(9),
};
enum { MOD_SIZE = 16, MMAP_ENTRY = 24 };

/* The header's offset in the file, which has to hold it whole. False: none. */
static bool find_header(const struct load_file *f, uint64_t *at)
{
	uint64_t end = f->size < SEARCH ? f->size : SEARCH;

	for (*at = 0; bytes_within(*at, HEADER_SIZE, end); *at += 4) {
		const uint8_t *h = f->data + *at;

		if (get_le32(h) == HEADER_MAGIC &&
		    get_le32(h) + get_le32(h + 4) + get_le32(h + 8) == 0) {
			return true;
		}
	}
	return false;
}

bool multiboot1_probe(const struct load_file *f)
{
	uint64_t at;

	return find_header(f, &at);
}

static bool check_flags(struct load_plan *p, uint64_t header, uint32_t flags)
{
	uint32_t unknown = flags & FLAG_REQUIRED & ~(FLAG_ALIGN | FLAG_MEMORY | FLAG_VIDEO);

	if (unknown) {
		return plan_refuse(p,
				   "the multiboot header at offset 0x%lx requires bit %d (flags "
				   "0x%x), which is not supported",
				   header, __builtin_ctz(unknown), flags);
	}
	return true;
}

static bool load_by_addresses(struct load_plan *p, uint64_t header, uint64_t *entry)
{
	const uint8_t *h = p->img->kernel.data + header;
	struct multiboot_addresses a;
	struct multiboot_flat m;

	if (!bytes_within(header, HEADER_SIZE_ADDRESSES, p->img->kernel.size)) {
		return plan_refuse(p, "the multiboot header at offset 0x%lx ends beyond the file",
				   header);
	}
	a = (struct multiboot_addresses){
		.header_at = header,
		.header = get_le32(h + 12),
		.load = get_le32(h + 16),
		.load_end = get_le32(h + 20),
		.bss_end = get_le32(h + 24),
	};
	*entry = get_le32(h + 28);
	if (!multiboot_flat_image(p, &a, &m)) {
		return false;
	}
	if (*entry - m.base >= m.memsz) {
		return plan_refuse(p,
				   "the entry 0x%lx of the multiboot header at offset 0x%lx is "
				   "outside the image (0x%lx+0x%lx)",
				   *entry, header, m.base, m.memsz);
	}
	return multiboot_flat_load(p, &m, 0);
}

static bool load_elf(struct load_plan *p, uint64_t *entry)
{
	uint64_t low, high;
	struct elf_file e;

	if (!elf_probe(&p->img->kernel)) {
		return plan_refuse(p, "neither an ELF file nor a multiboot header with addresses");
	}
	return elf_open(&e, p) && elf_extent(&e, p, &low, &high) && elf_entry(&e, p, entry) &&
	       elf_load(&e, p, 0);
}

static uint32_t put_memory_map(struct multiboot_writer *w, const struct load_image *img)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < img->maps; i++) {
		uint8_t e[MMAP_ENTRY];
		uint32_t here;

		put_le32(e, MMAP_ENTRY - 4); /* the size does not count itself */
		put_le64(e + 4, img->map[i].base);
		put_le64(e + 12, img->map[i].size);
		put_le32(e + 20, img->map[i].type);
		here = multiboot_put(w, e, sizeof(e));
		at = i ? at : here;
	}
	return at;
}

/* The module list in one piece, its strings before it. */
static uint32_t put_modules(struct multiboot_writer *w, const struct load_image *img,
			    const uint64_t *at)
{
	uint8_t list[MAX_MODULES * MOD_SIZE] = {0};

	for (unsigned i = 0; i < img->modules; i++) {
		const struct load_file *m = &img->module[i];
		uint8_t *e = list + (size_t)i * MOD_SIZE;

		put_le32(e, (uint32_t)at[i]);
		put_le32(e + 4, (uint32_t)(at[i] + m->size));
		put_le32(e + 8, multiboot_put_line(w, m->name, m->args));
	}
	multiboot_align(w, 4);
	return multiboot_put(w, list, (size_t)img->modules * MOD_SIZE);
}

static void build_info(struct multiboot_writer *w, const struct load_image *img, void *ctx)
{
	uint8_t info[INFO_SIZE] = {0};
	uint32_t lower, upper;

	multiboot_put(w, NULL, INFO_SIZE); /* filled in at the end */
	multiboot_memory(img, &lower, &upper);
	put_le32(info + INFO_FLAGS,
		 HAS_MEMORY | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER_NAME);
	put_le32(info + INFO_MEM_LOWER, lower);
	put_le32(info + INFO_MEM_UPPER, upper);
	put_le32(info + INFO_MMAP_LENGTH, img->maps * MMAP_ENTRY);
	put_le32(info + INFO_MMAP_ADDR, put_memory_map(w, img));
	put_le32(info + INFO_MODS_COUNT, img->modules);
	put_le32(info + INFO_MODS_ADDR, put_modules(w, img, ctx));
	put_le32(info + INFO_CMDLINE, multiboot_put_line(w, img->kernel.name, img->cmdline));
	put_le32(info + INFO_LOADER_NAME, multiboot_put_line(w, "Mullion", NULL));
	if (w->p) {
		memcpy(w->p, info, sizeof(info));
	}
}

bool multiboot1_load(const struct load_image *img, const struct addrspace *as,
		     struct vcpu_regs *regs, struct refusal *r)
{
	struct load_plan p = {.img = img, .as = as, .r = r};
	uint64_t header, entry, info, module[MAX_MODULES];
	uint32_t flags;
	bool ok;

	if (!find_header(&img->kernel, &header)) {
		return plan_refuse(&p, "no multiboot header in the first 8 KiB");
	}
	flags = get_le32(img->kernel.data + header + 4);
	if (!check_flags(&p, header, flags)) {
		return false;
	}
	ok = flags & FLAG_ADDRESSES ? load_by_addresses(&p, header, &entry) : load_elf(&p, &entry);
	return ok && multiboot_modules(&p, module) &&
	       multiboot_info(&p, build_info, module, &info) &&
	       multiboot_enter(&p, regs, ENTRY_MAGIC, entry, info);
}
