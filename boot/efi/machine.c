/*
 * What the firmware knows of the machine: framebuffer and ACPI. Called by main.c before
 * boot services are left. No state.
 */
#include "boot/efi/loader.h"
#include "hv/lib/string.h"

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36 };

static bool same_guid(const EFI_GUID *a, const EFI_GUID *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static const uint8_t *find_table(const EFI_GUID *guid)
{
	for (UINTN i = 0; i < firmware.table->NumberOfTableEntries; i++) {
		if (same_guid(&firmware.table->ConfigurationTable[i].VendorGuid, guid)) {
			return firmware.table->ConfigurationTable[i].VendorTable;
		}
	}
	return NULL;
}

const uint8_t *machine_rsdp(uint32_t *size)
{
	static const EFI_GUID acpi20 = ACPI_20_TABLE_GUID, acpi10 = ACPI_TABLE_GUID;
	const uint8_t *rsdp = find_table(&acpi20);

	*size = RSDP_NEW_SIZE;
	if (!rsdp) {
		rsdp = find_table(&acpi10);
		*size = RSDP_OLD_SIZE;
	}
	return rsdp;
}

/* --- framebuffer --- */

static void take_mask(uint32_t mask, uint8_t *pos, uint8_t *size)
{
	if (mask) {
		*pos = (uint8_t)__builtin_ctz(mask);
		*size = (uint8_t)(32 - __builtin_clz(mask) - *pos);
	}
}

/* The masks of a pixel, by format; all 0: there is no framebuffer behind it. */
static EFI_PIXEL_BITMASK pixel_masks(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	static const EFI_PIXEL_BITMASK rgb = {0xff, 0xff00, 0xff0000, 0xff000000},
				       bgr = {0xff0000, 0xff00, 0xff, 0xff000000}, none = {0};

	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor: return rgb;
	case PixelBlueGreenRedReserved8BitPerColor: return bgr;
	case PixelBitMask: return info->PixelInformation;
	default: return none;
	}
}

static EFI_GRAPHICS_OUTPUT_PROTOCOL *with_framebuffer(EFI_HANDLE handle)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = NULL;
	EFI_PIXEL_BITMASK mask;

	if (EFI_ERROR(firmware.boot->HandleProtocol(handle, &guid, (void **)&gop)) || !gop ||
	    !gop->Mode || !gop->Mode->Info || !gop->Mode->FrameBufferBase) {
		return NULL;
	}
	mask = pixel_masks(gop->Mode->Info);
	return mask.RedMask | mask.GreenMask | mask.BlueMask | mask.ReservedMask ? gop : NULL;
}

/*
 * First the one that the console is on. With several displays that one draws on all of them and has
 * no framebuffer of its own: then the first display that has one.
 */
static EFI_GRAPHICS_OUTPUT_PROTOCOL *find_graphics(void)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = with_framebuffer(firmware.table->ConsoleOutHandle);
	EFI_HANDLE *handles = NULL;
	UINTN n = 0;

	if (gop ||
	    EFI_ERROR(firmware.boot->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles))) {
		return gop;
	}
	for (UINTN i = 0; i < n && !gop; i++) {
		gop = with_framebuffer(handles[i]);
	}
	firmware.boot->FreePool(handles);
	return gop;
}

void machine_framebuffer(struct boot_framebuffer *f)
{
	enum { RGB = 1 };
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = find_graphics();
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
	EFI_PIXEL_BITMASK mask;
	uint32_t all;

	memset(f, 0, sizeof(*f));
	if (!gop) {
		return;
	}
	info = gop->Mode->Info;
	mask = pixel_masks(info);
	all = mask.RedMask | mask.GreenMask | mask.BlueMask | mask.ReservedMask;
	f->base = hpa(gop->Mode->FrameBufferBase);
	f->width = info->HorizontalResolution;
	f->height = info->VerticalResolution;
	f->bpp = (uint8_t)ALIGN_UP(32 - (unsigned)__builtin_clz(all), 8u);
	f->pitch = info->PixelsPerScanLine * (f->bpp / 8u);
	f->type = RGB;
	take_mask(mask.RedMask, &f->red_pos, &f->red_size);
	take_mask(mask.GreenMask, &f->green_pos, &f->green_size);
	take_mask(mask.BlueMask, &f->blue_pos, &f->blue_size);
	f->present = true;
}
