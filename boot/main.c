/*
 * Bring-up, in order: from the loader's hand-over to the point where every CPU can run a vCPU.
 * Called by start.asm on the boot CPU; ends in mullion_main.
 */
#include "boot/main.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/smp.h"
#include "boot/console.h"
#include "boot/iommu.h"
#include "boot/memory.h"
#include "boot/ram.h"
#include "boot/report.h"
#include "boot/screen.h"
#include "boot/stage.h"
#include "boot/warm.h"
#include "drivers/hpet.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "drivers/pic8259.h"
#include "drivers/power.h"
#include "drivers/tsc.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/load/multiboot2.h"
#include "hv/log.h"
#include "hv/pci.h"

enum { INFORMATION_MAX = 128 * 1024 };
#define RAM_TO_START MIB(4) /* page tables, IOMMU tables: some hundred KiB, and room to spare */
#define RAM_OF_CPU   KIB(128)

void boot_main(uint32_t magic, uint64_t information, uint64_t image_delta) NORETURN;

extern const uint64_t boot_tsc; /* when the loader handed over; start.asm */

static struct boot_info boot;
static struct acpi_info acpi;
static uint8_t information_copy[INFORMATION_MAX] __attribute__((aligned(8)));

static NORETURN void stop(const char *why)
{
	log_line("stopped: %s", why);
	host_stop();
}

const char *boot_option_value(const struct boot_info *b, const char *word)
{
	size_t len = strlen(word);

	for (const char *s = b->cmdline; *s; s++) {
		if ((s == b->cmdline || s[-1] == ' ') && !strncmp(s, word, len) &&
		    (s[len] == ' ' || !s[len] || s[len - 1] == '=')) {
			return s + len;
		}
	}
	return NULL;
}

bool boot_option(const struct boot_info *b, const char *word)
{
	return boot_option_value(b, word) != NULL;
}

/* The block lies in memory that is nobody's as soon as we begin to use memory: copy it first. */
static void read_information(uint32_t magic, uint64_t at)
{
	struct refusal r = {0};
	uint32_t size;

	if (magic != MULTIBOOT2_ENTRY_MAGIC) {
		stop("the loader is not a multiboot2 loader");
	}
	memcpy(&size, (const void *)at, sizeof(size));
	if (size > sizeof(information_copy)) {
		stop("the loader's information block is larger than 128 KiB");
	}
	memcpy(information_copy, (const void *)at, size);
	if (!multiboot2_parse(&boot, information_copy, size, &r)) {
		screen_begin(&boot);
		stop(r.text);
	}
}

static void choose_consoles(void)
{
	struct console_list wanted, used;
	char bad[32];
	bool good = console_parse(&wanted, boot.cmdline, bad);

	if (!good) {
		log_line("console: \"%s\" is none of com1 to com4, 0xPORT, framebuffer, none", bad);
	}
	console_use(&wanted);
	console_used(&used);
	/* Also rather than nowhere. */
	if (wanted.screen || (wanted.ports && !used.ports)) {
		screen_begin(&boot);
	}
}

static void early_console(void)
{
	struct console_list com1 = {.port = {0x3f8}, .ports = 1};

	console_use(&com1);
	host_console_write("\n", 1); /* ends the characters of start.asm's stages */
}

/* start.asm went on without: here there are words for it. */
static void require_nx(void)
{
	uint32_t id[4];

	host_cpuid(0x80000001, 0, id);
	if (!(id[3] & BIT(20))) {
		stop("this CPU has no no-execute pages (CPUID 80000001h EDX bit 20), or firmware "
		     "turned them off");
	}
}

/* What is taken at boot is taken for ever, and asked for without a way out. */
static void require_ram(uint64_t bytes, const char *what)
{
	struct refusal r = {0};

	if (ram_free() < bytes) {
		refuse(&r, "too little RAM: %s takes %lu KiB, and %lu KiB are free", what,
		       bytes >> 10, ram_free() >> 10);
		stop(r.text);
	}
}

static void take_memory(uint64_t image_delta, uint64_t image, uint64_t image_end)
{
	ram_init(&boot, image, image_end);
	require_ram(RAM_TO_START, "starting");
	paging_init(&boot, image_delta);
	warm_moved();
	screen_remap();
	cpu_make_stacks(this_cpu());
	cpu_set_control();
	ram_move_low_modules(&boot);
	log_line("image at 0x%lx-0x%lx, %lu MiB of RAM free, largest block %lu MiB", image,
		 image_end, ram_free() >> 20, host_alloc_largest(PAGE_SIZE) >> 20);
}

static void read_acpi(void)
{
	struct refusal r = {0};

	if (!boot.rsdp_present) {
		stop("the loader passed no ACPI RSDP");
	}
	if (!acpi_parse(&acpi, boot.rsdp, paging_map_firmware, NULL, &r)) {
		stop(r.text);
	}
	for (unsigned i = 0; i < acpi.left_outs; i++) {
		log_line("%s; left out", acpi.left_out[i].text);
	}
	power_init(&acpi);
	serials_of_tables(&boot, &acpi);
}

/* An xAPIC reaches ids up to 254. */
static bool wants_x2apic(void)
{
	for (unsigned i = 0; i < acpi.cpus; i++) {
		if (acpi.cpu[i].apic_id >= 255) {
			return true;
		}
	}
	return boot_option(&boot, "x2apic");
}

static void take_interrupts(void)
{
	struct refusal r = {0};

	pic8259_silence();
	hpet_silence(&acpi, paging_map_firmware, NULL);
	lapic_init(wants_x2apic());
	log_line("LAPIC: %s, id %u", lapic_x2apic() ? "x2APIC" : "xAPIC", lapic_id());
	/* Before interrupts are routed: they may have to go through it. */
	if (!iommu_start(&boot, &acpi, &r)) {
		stop(r.text);
	}
	ioapic_init(&acpi);
	console_use_interrupts(&acpi);
	irq_init();
}

static void start_cpus(uint64_t low_page)
{
	require_ram(acpi.cpus * RAM_OF_CPU, "starting the CPUs");
	if (low_page) {
		smp_start(&acpi, hpa(low_page));
	} else {
		stop("no page of RAM below 640 KiB is free to start CPUs through");
	}
}

/* For the bench (docs/performance.md): the guests' side of it is their own TSC. */
static void log_times(uint64_t first_line)
{
	log_line("boot: loader's hand-over at TSC %lu, first line out after %lu us", boot_tsc,
		 (first_line - boot_tsc) / (host_tsc_hz / 1000000));
}

/* Permissions of all pages, and that the direct map reaches the ends of all RAM. */
static void check_pages(void)
{
	unsigned leaves;
	unsigned bad = paging_check(&leaves);
	uint64_t last = 0;

	log_line("page tables: %u leaves, %u writable and executable", leaves, bad);
	for (unsigned i = 0; i < boot.memories; i++) {
		const struct boot_memory *m = &boot.memory[i];

		if (m->type == MEMORY_RAM) {
			last = m->base + m->size - 1;
			host_mmio_read(host_ptr(hpa(m->base)), 1);
			host_mmio_read(host_ptr(hpa(last)), 1);
		}
	}
	log_line("direct map: RAM up to 0x%lx can be read", last);
}

void boot_main(uint32_t magic, uint64_t information, uint64_t image_delta)
{
	uint64_t low_page, image, image_end, first_line;

	cpu_init_boot();
	boot_stage(STAGE_C);
	early_console();
	boot_stage(STAGE_INFORMATION);
	read_information(magic, information);
	paging_image(image_delta, &image, &image_end);
	warm_start(&boot, image, image_end);
	choose_consoles();
	log_line("Mullion, started by %s%s", boot.loader[0] ? boot.loader : "an unnamed loader",
		 boot.efi ? " on UEFI" : "");
	first_line = rdtsc();
	if (boot.cmdline[0]) {
		log_line("command line: %s", boot.cmdline);
	}
	warm_show();
	require_nx();
	boot_stage(STAGE_MEMORY);
	low_page = memory_low_page(&boot);
	take_memory(image_delta, image, image_end);
	cpu_log_control();
	boot_stage(STAGE_ACPI);
	read_acpi();
	boot_stage(STAGE_TSC);
	if (!tsc_calibrate(&acpi, paging_map_firmware, NULL)) {
		stop("no PM timer, 8254 or HPET runs to measure the TSC by, and CPUID does not "
		     "tell");
	}
	clock_init();
	boot_stage(STAGE_INTERRUPTS);
	take_interrupts();
	boot_stage(STAGE_PCI);
	pci_enumerate(&acpi);
	serials_of_pci();
	boot_stage(STAGE_CPUS);
	start_cpus(low_page);
	report_cpu();
	report_warn();
	if (boot_option(&boot, "times")) {
		log_times(first_line);
	}
	if (boot_option(&boot, "check-pages")) {
		check_pages();
	}
	drill(&boot);
	mullion_main(&boot, &acpi);
}
