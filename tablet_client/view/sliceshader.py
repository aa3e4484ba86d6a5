"""The fragment shader of a slice: greys through the window, probability through the threshold, ink on top.

Nothing here asks for new data: contrast, threshold, opacity and style are uniforms, so a slider costs one redraw.

Textures, all of ``columns × rows``, nearest, first row on top:
    texture0  16-bit greys, low byte in luminance, high byte in alpha
    labels    ink, one byte a pixel, 0 where nothing was drawn
    levels    probability × 255, one byte a pixel
    palette   16 × 1, the labels' colours

`CROWDED` is the same for images with more pixels than the screen has for them: ink and mask take the strongest of the
image pixels under a screen pixel, so that thin ones do not vanish, and greys their mean.

A pixel of the mask has ``level ≥ threshold``. Its outline runs inside its own edge and is measured on the screen, so a mask
one pixel thin is drawn in full.
"""

_BODY = """
uniform sampler2D labels;
uniform sampler2D levels;
uniform sampler2D palette;
uniform vec2 image_size;      // columns, rows
uniform vec2 pixel_size;      // screen pixels of one image pixel
uniform vec2 grey_window;     // greys shown black and white
uniform float soft;           // 1: greys are interpolated between pixel centres, 0: nearest
uniform float has_levels;
uniform float threshold;      // 1 to 255
uniform float fill;           // opacity of the mask's fill, 0 to 1
uniform float outline;        // its width in screen pixels
uniform float style;          // 0 nothing, 1 mask, 2 its outline, 3 wash
uniform float ink;            // 1: strokes are shown
uniform float bare;           // 1: greys alone
uniform vec4 mask_color;

vec2 spot(vec2 pixel) {
    return (clamp(pixel, vec2(0.0), image_size - 1.0) + 0.5) / image_size;
}

float grey_of(vec2 pixel) {
    vec4 two = texture2D(texture0, spot(pixel));
    return floor(two.r * 255.0 + 0.5) + 256.0 * floor(two.a * 255.0 + 0.5);
}

float level_of(vec2 pixel) {
    bool inside = all(greaterThanEqual(pixel, vec2(0.0))) && all(lessThan(pixel, image_size));
    return inside ? floor(texture2D(levels, spot(pixel)).r * 255.0 + 0.5) : 0.0;
}

float label_of(vec2 pixel) {
    return floor(texture2D(labels, spot(pixel)).r * 255.0 + 0.5);
}

float shown_grey(vec2 place) {
    if (soft < 0.5) return grey_of(floor(place));
    vec2 corner = floor(place - 0.5);
    vec2 part = place - 0.5 - corner;
    float top = mix(grey_of(corner), grey_of(corner + vec2(1.0, 0.0)), part.x);
    float low = mix(grey_of(corner + vec2(0.0, 1.0)), grey_of(corner + vec2(1.0, 1.0)), part.x);
    return mix(top, low, part.y);
}

bool on_outline(vec2 pixel, vec2 place) {
    vec2 near = (place - pixel) * pixel_size;
    vec2 far = pixel_size - near;
    vec2 side = vec2(near.x < far.x ? -1.0 : 1.0, near.y < far.y ? -1.0 : 1.0);
    bvec2 close = lessThan(min(near, far), vec2(outline));
    bool across = level_of(pixel + vec2(side.x, 0.0)) < threshold;
    bool along = level_of(pixel + vec2(0.0, side.y)) < threshold;
    bool corner = level_of(pixel + side) < threshold;
    return (close.x && across) || (close.y && along) || (close.x && close.y && corner);
}

void main(void) {
    vec2 place = tex_coord0 * image_size;
    vec2 pixel = clamp(floor(place), vec2(0.0), image_size - 1.0);
    float level = level_of(pixel);
    float label = label_of(pixel);
#ifdef CROWDED
    float grey = 0.0;
    for (int i = -1; i <= 1; i++) {
        for (int j = -1; j <= 1; j++) {
            vec2 other = floor(place + vec2(float(i), float(j)) / (3.0 * min(pixel_size, vec2(1.0))));
            grey += grey_of(other) / 9.0;
            level = max(level, level_of(other));
            label = max(label, label_of(other));
        }
    }
#else
    float grey = shown_grey(place);
#endif
    float light = clamp((grey - grey_window.x) / (grey_window.y - grey_window.x), 0.0, 1.0);
    vec3 color = vec3(light);
    if (bare > 0.5) {
        gl_FragColor = vec4(color, 1.0);
        return;
    }
    if (has_levels > 0.5 && style > 2.5) {
        color = mix(color, mask_color.rgb, level / 255.0 * sqrt(fill));
    } else if (has_levels > 0.5 && style > 0.5 && level >= threshold) {
        color = mix(color, mask_color.rgb, on_outline(pixel, place) ? 1.0 : style > 1.5 ? 0.0 : fill);
    }
    if (ink > 0.5 && label > 0.5) {
        color = texture2D(palette, vec2((label + 0.5) / 16.0, 0.5)).rgb;
    }
    gl_FragColor = vec4(color, 1.0);
}
"""

FRAGMENT = "$HEADER$\n" + _BODY
CROWDED = "$HEADER$\n#define CROWDED\n" + _BODY
