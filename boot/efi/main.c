/*
 * Mullion's own UEFI loader, as a list of steps: from the firmware to the hypervisor's 32-bit
 * entry, by the same multiboot2 contract as GRUB.
 *
 * efi_main is called by the firmware (through gnu-efi's start code) and by nobody else. Everything
 * is read and checked before boot services are left; a refusal is told in words, all memory goes
 * back, and so does control.
 */
#include "boot/efi/chosen.h"
#include "boot/efi/image.h"
#include "boot/efi/loader.h"
#include "boot/efi/tags.h"
#include "hv/config.h"
#include "hv/lib/string.h"

#define HYPERVISOR	"mullion.elf"
#define HYPERVISOR_MOST MIB(64)

enum {
	INFORMATION = 64 * 1024 /* besides the memory map; boot/main.c takes 128 KiB in all */,
	WAIT_SECONDS = 10
};

struct firmware firmware;

/* All that stays until the hypervisor has it. */
struct start {
	struct chosen chosen;
	uint64_t image_base, entry;
	struct memory_map map;
	struct tags tags;
	void *enter_page;
};

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *table);

static bool load_image(struct start *s, struct refusal *r)
{
	static struct image image;
	struct file f;
	uint8_t *memory;

	if (!files_read(&f, HYPERVISOR, HYPERVISOR_MOST, r) ||
	    !image_open(&image, HYPERVISOR, f.data, f.size, r)) {
		return false;
	}
	memory = pages_take(image.high - image.low, image.align, (uint64_t)image.max + 1,
			    PAGES_FOR_CODE);
	s->image_base = (uint64_t)memory;
	if (!memory || s->image_base < image.min) {
		return refuse(r,
			      "no %lu KiB of memory between 0x%x and 0x%x are left for " HYPERVISOR,
			      (image.high - image.low) >> 10, image.min, image.max);
	}
	s->entry = image.entry - image.low + s->image_base;
	return image_copy(&image, memory, r);
}

static bool begin_information(struct start *s, struct refusal *r)
{
	uint64_t room = INFORMATION + tags_memory_map_room(s->map.room);
	void *block = pages_take(room, PAGE_SIZE, GIB(4), PAGES_FOR_DATA);

	if (!block) {
		return refuse(r, "no memory below 4 GiB is left for the boot information");
	}
	tags_begin(&s->tags, block, (uint32_t)room);
	return true;
}

/* What can be told before boot services are left: all but the memory map. */
static void add_information(struct start *s)
{
	struct boot_framebuffer framebuffer;
	uint32_t size;
	const uint8_t *bytes;

	tags_load_base(&s->tags, (uint32_t)s->image_base);
	tags_cmdline(&s->tags, s->chosen.cmdline);
	tags_loader(&s->tags, "Mullion's UEFI loader");
	for (unsigned i = 0; i < s->chosen.files; i++) {
		const struct file *f = &s->chosen.file[i];

		tags_module(&s->tags, (uint32_t)(uintptr_t)f->data, (uint32_t)f->size,
			    config_file_base(f->path));
	}
	machine_framebuffer(&framebuffer);
	if (framebuffer.present) {
		tags_framebuffer(&s->tags, &framebuffer);
	}
	bytes = machine_rsdp(&size);
	if (bytes) {
		tags_rsdp(&s->tags, bytes, size);
	}
}

static bool prepare_enter(struct start *s, struct refusal *r)
{
	s->enter_page = pages_take(PAGE_SIZE, PAGE_SIZE, GIB(4), PAGES_FOR_CODE);
	if (!s->enter_page) {
		return refuse(r, "no memory below 4 GiB is left for the way out");
	}
	memcpy(s->enter_page, enter_code, (size_t)(enter_code_end - enter_code));
	return true;
}

/* Does not return: nothing that could hear of an error is left. */
static void enter(struct start *s)
{
	void (*leave)(uint32_t entry, uint32_t information, uint32_t page);

	tags_memory_map(&s->tags, s->map.bytes, (uint32_t)s->map.size, (uint32_t)s->map.stride,
			s->map.version);
	tags_end(&s->tags);
	*(void **)&leave = s->enter_page;
	leave((uint32_t)s->entry, (uint32_t)(uintptr_t)s->tags.block,
	      (uint32_t)(uintptr_t)s->enter_page);
}

static bool start(struct start *s, struct refusal *r)
{
	firmware.boot->SetWatchdogTimer(0, 0, 0, NULL);
	if (!files_open(r) || !files_check_trust(r) || !chosen_read(&s->chosen, r) ||
	    !load_image(s, r) || !leave_prepare(&s->map, r) || !begin_information(s, r) ||
	    !prepare_enter(s, r)) {
		return false;
	}
	add_information(s);
	files_close();
	if (s->tags.full) {
		return refuse(r, "the boot information is larger than %u KiB", INFORMATION >> 10);
	}
	if (!leave_firmware(&s->map, r)) {
		return false;
	}
	enter(s);
	return false;
}

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *table)
{
	static struct start state;
	static struct refusal r;
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;

	firmware = (struct firmware){.self = self, .table = table, .boot = table->BootServices};
	if (EFI_ERROR(firmware.boot->HandleProtocol(self, &guid, (void **)&firmware.image))) {
		return EFI_UNSUPPORTED;
	}
	start(&state, &r);
	say_refusal(r.text, WAIT_SECONDS);
	files_close();
	pages_give_back();
	return EFI_LOAD_ERROR;
}
