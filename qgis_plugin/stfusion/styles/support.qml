<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis minScale="1e+08" version="3.22.0" styleCategories="Symbology|Rendering" maxScale="0" hasScaleBasedVisibilityFlag="0">
  <pipe>
    <provider>
      <resampling enabled="false" zoomedOutResamplingMethod="nearestNeighbour" zoomedInResamplingMethod="nearestNeighbour" maxOversampling="2"/>
    </provider>
    <rasterrenderer type="singlebandpseudocolor" alphaBand="-1" classificationMin="0" nodataColor="" band="1" opacity="1" classificationMax="101">
      <minMaxOrigin>
        <limits>None</limits>
        <extent>WholeRaster</extent>
        <statAccuracy>Estimated</statAccuracy>
        <cumulativeCutLower>0.02</cumulativeCutLower>
        <cumulativeCutUpper>0.98</cumulativeCutUpper>
        <stdDevFactor>2</stdDevFactor>
      </minMaxOrigin>
      <rastershader>
        <colorrampshader labelPrecision="6" colorRampType="DISCRETE" clip="0" maximumValue="101" minimumValue="0" classificationMode="1">
          <item alpha="255" color="#b2182b" value="0" label="similar pixels: none"/>
          <item alpha="255" color="#ef8a62" value="3" label="similar pixels: 1 to 3"/>
          <item alpha="255" color="#fddbc7" value="10" label="similar pixels: 4 to 10"/>
          <item alpha="255" color="#d9f0d3" value="30" label="similar pixels: 11 to 30"/>
          <item alpha="255" color="#7fbf7b" value="100" label="similar pixels: 31 to 100"/>
          <item alpha="255" color="#1b7837" value="inf" label="similar pixels: more than 100"/>
          <rampLegendSettings suffix="" orientation="2" direction="0" useContinuousLegend="1" minimumLabel="" maximumLabel="" prefix="">
          </rampLegendSettings>
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation colorizeGreen="128" colorizeOn="0" saturation="0" invertColors="0" grayscaleMode="0" colorizeStrength="100" colorizeRed="255" colorizeBlue="128"/>
    <rasterresampler maxOversampling="2"/>
    <resamplingStage>resamplingFilter</resamplingStage>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
