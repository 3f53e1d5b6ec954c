/*
 * Linux bzImage, entered in 64-bit or in 32-bit protected mode (the kernel's own documentation,
 * "The Linux/x86 Boot Protocol"). Called by load_guest.
 *
 * There is no BIOS for the 16-bit setup code, so images which can only be entered there are refused
 * with that reason. The 16-bit part of others is not even copied, but for its header.
 */
#include "hv/lib/bytes.h"
#include "hv/load/plan.h"

/* Offsets in the file and, from HEADER to its end, in the zero page. */
enum header_field {
	HEADER = 0x1f1,
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	VID_MODE = 0x1fa,
	BOOT_FLAG = 0x1fe,
	JUMP_LENGTH = 0x201,
	SIGNATURE = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE_KERNEL = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	HEADER_END_2_06 = 0x23c,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END_MAX = 0x290,
};

enum zero_page_field {
	ACPI_RSDP_ADDR = 0x070,
	E820_ENTRIES = 0x1e8,
	E820_TABLE = 0x2d0,
	E820_ENTRY = 20,
};

enum {
	LOADED_HIGH = BIT(0),
	KEEP_SEGMENTS = BIT(6),
	XLF_KERNEL_64 = BIT(0),
	LOADER_UNKNOWN = 0xff, /* we have no number assigned */
	VID_MODE_NORMAL = 0xffff,
	ENTRY_64 = 0x200,
	TABLES = 7 * PAGE_SIZE, /* of load_state_long64 */
};

/* Low enough for every kernel, and clear of where kernels put their own trampolines. */
#define LOW_MIN	 0x10000
#define HIGH_MIN MIB(1)

struct kernel {
	const uint8_t *file;
	uint16_t version;
	uint32_t setup_size; /* bytes of boot sector and 16-bit code */
	uint64_t size;	     /* bytes of the rest, the protected-mode part */
	uint64_t load;	     /* where it goes */
	uint32_t cmdline_size;
	uint64_t initrd_max;
	bool entry64;
};

bool linux_probe(const struct load_file *f)
{
	return f->size >= 0x400 && get_le16(f->data + BOOT_FLAG) == 0xaa55 &&
	       memcmp(f->data + SIGNATURE, "HdrS", 4) == 0;
}

/*
 * An image without LOADED_HIGH is a zImage. iPXE's ipxe.lkrn and its like carry a sound header with
 * LOADED_HIGH, but behind the setup code there is only data for it: they name no 32-bit entry
 * (code32_start) and no alignment, which each Linux of these protocol versions does.
 */
static bool check_protected_entry(struct load_plan *p, const struct kernel *k)
{
	const char *why = NULL;
	unsigned offset = 0;

	if (!(k->file[LOADFLAGS] & LOADED_HIGH)) {
		why = "LOADED_HIGH is not set";
		offset = LOADFLAGS;
	} else if (!get_le32(k->file + CODE32_START)) {
		why = "code32_start is 0";
		offset = CODE32_START;
	} else if (k->version >= 0x205 && !get_le32(k->file + KERNEL_ALIGNMENT)) {
		why = "kernel_alignment is 0";
		offset = KERNEL_ALIGNMENT;
	}
	return !why ||
	       plan_refuse(
		       p, "needs the 16-bit BIOS entry, which guests do not have: %s (offset 0x%x)",
		       why, offset);
}

static bool read_header(struct load_plan *p, struct kernel *k)
{
	const struct load_file *f = &p->img->kernel;
	uint32_t sects = f->data[SETUP_SECTS];
	uint64_t told;

	k->file = f->data;
	k->version = get_le16(f->data + VERSION);
	if (!check_protected_entry(p, k)) {
		return false;
	}
	if (k->version < 0x206) {
		return plan_refuse(p,
				   "boot protocol %u.%02u (offset 0x%x) is too old: Linux 2.6.22 "
				   "and later have 2.06",
				   k->version >> 8, k->version & 0xffu, VERSION);
	}
	k->setup_size = ((sects ? sects : 4) + 1) * 512;
	if (k->setup_size >= f->size) {
		return plan_refuse(p,
				   "setup_sects (offset 0x%x): the 16-bit code of 0x%x bytes ends "
				   "beyond the file (0x%lx bytes)",
				   SETUP_SECTS, k->setup_size, f->size);
	}
	/* The size is told in units of 16 bytes; a signature may follow the code. */
	k->size = f->size - k->setup_size;
	told = (uint64_t)get_le32(f->data + SYSSIZE) * 16;
	if (told > ALIGN_UP(k->size, 16)) {
		return plan_refuse(p,
				   "syssize (offset 0x%x): file range 0x%x+0x%lx ends beyond the "
				   "file (0x%lx bytes)",
				   SYSSIZE, k->setup_size, told, f->size);
	}
	if (told && told < k->size) {
		k->size = told;
	}
	if (SIGNATURE + f->data[JUMP_LENGTH] < HEADER_END_2_06) {
		return plan_refuse(p, "the header ends at offset 0x%x, before its fields",
				   SIGNATURE + f->data[JUMP_LENGTH]);
	}
	k->cmdline_size = get_le32(f->data + CMDLINE_SIZE);
	k->initrd_max = get_le32(f->data + INITRD_ADDR_MAX);
	k->entry64 = k->version >= 0x20c && (get_le16(f->data + XLOADFLAGS) & XLF_KERNEL_64);
	return true;
}

static bool refuse_room(struct load_plan *p, uint64_t base, uint64_t size, const char *why)
{
	return plan_refuse(p,
			   "needs 0x%lx bytes of RAM from 0x%lx (init_size, pref_address): %s; the "
			   "guest has 0x%lx bytes",
			   size, base, why, p->img->memory);
}

/*
 * A relocatable kernel runs where it is loaded, aligned, but never below pref_address; another
 * one is loaded at code32_start and moves itself to pref_address.
 */
static bool place_kernel(struct load_plan *p, struct kernel *k)
{
	const uint8_t *h = k->file;
	bool sized = k->version >= 0x20a;
	uint64_t start = get_le32(h + CODE32_START), runtime = start, room = k->size, end;
	uint64_t alignment = get_le32(h + KERNEL_ALIGNMENT);
	const char *why;

	if (sized && get_le64(h + PREF_ADDRESS)) {
		runtime = get_le64(h + PREF_ADDRESS);
	}
	if (sized && get_le32(h + INIT_SIZE) > room) {
		room = get_le32(h + INIT_SIZE);
	}
	if (alignment & (alignment - 1)) {
		return plan_refuse(p, "kernel_alignment 0x%lx (offset 0x%x) is no power of two",
				   alignment, KERNEL_ALIGNMENT);
	}
	if (h[RELOCATABLE_KERNEL]) {
		runtime = runtime > HIGH_MIN ? runtime : HIGH_MIN;
		return plan_find(p, room, alignment, runtime, GIB(4), PLAN_LOW, &k->load) ||
		       refuse_room(p, runtime, room, "there is no such free range");
	}
	if (!bytes_within(runtime, room, GIB(4))) {
		return refuse_room(p, runtime, room, "it ends above 4 GiB");
	}
	k->load = start;
	end = start + k->size > runtime + room ? start + k->size : runtime + room;
	start = start < runtime ? start : runtime;
	why = plan_take(p, start, end - start);
	return !why || refuse_room(p, start, end - start, why);
}

static bool place_initrd(struct load_plan *p, const struct kernel *k, uint8_t *zero)
{
	const struct load_file *f = &p->img->initrd;
	uint64_t at;

	if (!f->data) {
		return true;
	}
	if (!f->size) {
		return plan_refuse(p, "the initrd %s is empty", f->name);
	}
	/* As high as allowed: the kernel decompresses itself and grows below. */
	if (!plan_find(p, f->size, PAGE_SIZE, HIGH_MIN, k->initrd_max + 1, PLAN_HIGH, &at)) {
		return plan_refuse(p,
				   "the initrd %s of 0x%lx bytes finds no free RAM up to 0x%lx "
				   "(initrd_addr_max, offset 0x%x)",
				   f->name, f->size, k->initrd_max, INITRD_ADDR_MAX);
	}
	put_le32(zero + RAMDISK_IMAGE, (uint32_t)at);
	put_le32(zero + RAMDISK_SIZE, (uint32_t)f->size);
	return plan_write(p, at, f->data, f->size);
}

static bool place_cmdline(struct load_plan *p, const struct kernel *k, uint8_t *zero)
{
	const char *text = p->img->cmdline;
	size_t len = strlen(text);
	uint64_t at;

	if (len > k->cmdline_size) {
		return plan_refuse(p,
				   "the command line has %lu characters, the kernel takes %u "
				   "(cmdline_size, offset 0x%x)",
				   len, k->cmdline_size, CMDLINE_SIZE);
	}
	if (!plan_find(p, len + 1, 16, LOW_MIN, HIGH_MIN, PLAN_LOW, &at)) {
		return plan_refuse(p, "no room for the command line below 1 MiB");
	}
	put_le32(zero + CMD_LINE_PTR, (uint32_t)at);
	return plan_write(p, at, text, len + 1);
}

/* The header as it is in the file, in a page that is else clean, and what a loader fills in. */
static void fill_zero_page(const struct load_image *img, const struct kernel *k, uint8_t *zero)
{
	uint32_t end = SIGNATURE + k->file[JUMP_LENGTH];

	end = end < HEADER_END_MAX ? end : (uint32_t)HEADER_END_MAX;
	memcpy(zero + HEADER, k->file + HEADER, end - HEADER);
	zero[TYPE_OF_LOADER] = LOADER_UNKNOWN;
	zero[LOADFLAGS] &= (uint8_t)~KEEP_SEGMENTS;
	put_le16(zero + VID_MODE, VID_MODE_NORMAL);
	put_le32(zero + CODE32_START, (uint32_t)k->load);
	put_le32(zero + RAMDISK_IMAGE, 0);
	put_le32(zero + RAMDISK_SIZE, 0);
	put_le64(zero + ACPI_RSDP_ADDR, img->rsdp.v);
	for (unsigned i = 0; i < img->maps; i++) {
		uint8_t *e = zero + E820_TABLE + i * E820_ENTRY;

		put_le64(e, img->map[i].base);
		put_le64(e + 8, img->map[i].size);
		put_le32(e + 16, img->map[i].type);
	}
	zero[E820_ENTRIES] = (uint8_t)img->maps;
}

static bool set_entry(struct load_plan *p, const struct kernel *k, uint64_t zero, uint64_t tables,
		      struct vcpu_regs *regs)
{
	regs->gpr[RBX] = regs->gpr[RBP] = regs->gpr[RDI] = 0;
	regs->gpr[RSI] = zero;
	if (k->entry64) {
		return load_state_long64(regs, p->as, gpa(tables), k->load + ENTRY_64, p->r);
	}
	load_state_protected32(regs, k->load);
	return load_gdt(regs, p->as, gpa(tables), false);
}

bool linux_load(const struct load_image *img, const struct addrspace *as, struct vcpu_regs *regs,
		struct refusal *r)
{
	struct load_plan p = {.img = img, .as = as, .r = r};
	struct kernel k;
	uint64_t tables, zero_at;
	uint8_t *zero;

	if (!read_header(&p, &k) || !place_kernel(&p, &k)) {
		return false;
	}
	if (!plan_find(&p, TABLES, PAGE_SIZE, LOW_MIN, HIGH_MIN, PLAN_LOW, &tables) ||
	    !plan_find(&p, PAGE_SIZE, PAGE_SIZE, LOW_MIN, HIGH_MIN, PLAN_LOW, &zero_at)) {
		return plan_refuse(&p, "no room for the zero page and tables below 1 MiB");
	}
	zero = addrspace_ptr(as, gpa(zero_at), PAGE_SIZE);
	if (!zero) {
		return plan_refuse(&p, "no RAM for the zero page at 0x%lx", zero_at);
	}
	fill_zero_page(img, &k, zero);
	return place_cmdline(&p, &k, zero) && place_initrd(&p, &k, zero) &&
	       plan_write(&p, k.load, k.file + k.setup_size, k.size) &&
	       set_entry(&p, &k, zero_at, tables, regs);
}
